"""Edits a transcript: locks it, compares versions, replaces lines, writes the history, tells."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import ApiError, ErrorType
from api.readiness import not_ready
from api.transcripts import rows, versions
from api.transcripts.edit_schemas import EditOut, SegmentChange, SegmentMerge, SegmentSplit
from db import vocabulary
from db.errors import NotFound
from db.models import MediaFile, Segment, Speaker, Transcript
from db.queries import edits, events, transcripts
from db.queries.edits import EditAction
from pipelines import editing
from pipelines.editing import Line
from pipelines.errors import EditRefused, SpeakerRefused
from pipelines.lines import line_of, note_of, noted_line, values_of
from pipelines.notices import Notice, transcript_updated
from pipelines.search import notes as search_notes
from pipelines.speakers import notes
from pipelines.speakers.notes import About
from pipelines.speakers.structure import next_label

P = ParamSpec("P")
T = TypeVar("T")

NOT_UNDONE_HERE = {
    EditAction.reprocessed,
    EditAction.speakers_named,
    EditAction.speakers_merged,
    EditAction.speaker_split,
    EditAction.speaker_removed,
}
"""Edits of more than lines; names have a history of their own (/api/speakers/changes)."""

Facts = Mapping[str, Any]
"""What is kept of a speaker whom a person named: id, label, display_name."""


@dataclass
class Held:
    """A transcript that nobody else edits before this transaction ends."""

    session: AsyncSession
    user_id: uuid.UUID
    file: MediaFile
    transcript: Transcript
    speakers: list[Speaker]
    most_speakers: int

    async def lines(self, ids: Sequence[uuid.UUID]) -> tuple[dict[uuid.UUID, int], list[Line]]:
        """Lines in order, and their indexes."""
        found = await edits.lines(self.session, self.transcript.id, ids)
        labels = rows.labels_of(self.speakers)
        return {row.id: row.index for row in found}, [line_of(row, labels) for row in found]


@dataclass(frozen=True)
class Change:
    """One edit: which lines, at which indexes, become which; and speakers added or forgotten."""

    action: EditAction
    indexes: Mapping[uuid.UUID, int]
    before: Sequence[Line]
    after: Sequence[Line]
    added: Sequence[Facts] = ()
    forgotten: Sequence[Facts] = ()


async def hold(
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    if_match: str,
    most_speakers: int,
) -> Held:
    """Lock a transcript for an edit of the version that `if_match` names.

    No edit makes its file one of more than `most_speakers`.

    Raises:
        NotFound: there is no such file of this user.
        ApiError: there is no transcript, or it is another version.
    """
    file, transcript = await edits.hold(session, user_id, file_id)
    if transcript is None:
        raise not_ready(file)
    versions.require_match(transcript, if_match)
    speakers = await transcripts.speakers(session, file_id)
    return Held(session, user_id, file, transcript, list(speakers), most_speakers)


async def change(held: Held, segment_id: uuid.UUID, wanted: SegmentChange) -> EditOut:
    """Give a segment another text, another speaker, or both."""
    indexes, [line] = await held.lines([segment_id])
    added: list[Facts] = []
    changed = line
    if wanted.text is not None:
        changed = await asyncio.to_thread(_decided, editing.retext, line, wanted.text)
    if wanted.new_speaker is not None:
        added.append(_new_speaker(held, wanted.new_speaker))
        changed = editing.assign(changed, added[0]["label"])
    elif wanted.assigns:
        changed = editing.assign(changed, _label(held, wanted.speaker_id))
    action = EditAction.text_changed
    if wanted.assigns:
        action = EditAction.speaker_changed if wanted.text is None else EditAction.segment_changed
    return await _apply(held, Change(action, indexes, [line], [changed], added))


async def split(held: Held, segment_id: uuid.UUID, wanted: SegmentSplit) -> EditOut:
    """Make two segments of one."""
    indexes, [line] = await held.lines([segment_id])
    if wanted.character is not None:
        at = editing.word_at_character(line.segment, wanted.character)
    elif wanted.time is not None:
        at = editing.word_at_time(line.segment, wanted.time)
    else:
        at = wanted.word or 0
    parts = _decided(editing.split, line, at, uuid.uuid4())
    return await _apply(held, Change(EditAction.segment_split, indexes, [line], parts))


async def merge(held: Held, wanted: SegmentMerge) -> EditOut:
    """Make one segment of several that follow each other."""
    indexes, lines = await held.lines(wanted.segment_ids)
    places = sorted(indexes.values())
    if places != list(range(places[0], places[0] + len(wanted.segment_ids))):
        raise ApiError(
            ErrorType.validation_error,
            f"segment_ids: name different segments without gaps; these are at {places}.",
        )
    merged = _decided(editing.merge, lines)
    return await _apply(held, Change(EditAction.segments_merged, indexes, lines, [merged]))


async def undo(held: Held, edit_id: uuid.UUID) -> EditOut:
    """Make the latest edit not have been; an undone one is made again so too.

    Raises:
        ApiError: `conflict`, it is not the latest edit.
    """
    edit = await edits.get(held.session, held.file.id, edit_id)
    if edit.version != held.transcript.version or edit.action in NOT_UNDONE_HERE:
        raise ApiError(
            ErrorType.conflict,
            f"Only the latest edit can be undone, if it is one of lines: this is {edit.action} and "
            f"made version {edit.version}; the transcript is at version {held.transcript.version}.",
        )
    after = [noted_line(note) for note in edit.before["segments"]]
    indexes, before = await held.lines([uuid.UUID(n["id"]) for n in edit.after["segments"]])
    here, there = edit.after["speakers"], edit.before["speakers"]
    return await _apply(
        held,
        Change(
            EditAction.undone,
            indexes,
            before,
            after,
            added=[facts for facts in there if facts not in here],
            forgotten=[facts for facts in here if facts not in there],
        ),
    )


def _decided(decide: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """What a pure edit makes; that it refuses is the caller's fault."""
    try:
        return decide(*arguments, **more)
    except EditRefused as error:
        raise ApiError(ErrorType.validation_error, f"{error}.") from error


def _label(held: Held, speaker_id: uuid.UUID | None) -> str | None:
    if speaker_id is None:
        return None
    for speaker in held.speakers:
        if speaker.id == speaker_id:
            return speaker.label
    raise NotFound("speaker", str(speaker_id))


def _new_speaker(held: Held, name: str) -> Facts:
    for speaker in held.speakers:
        if name in {speaker.display_name, speaker.label}:
            raise ApiError(
                ErrorType.name_taken,
                f"The file has a speaker called {name} already: send its id as speaker_id.",
                speaker_id=str(speaker.id),
            )
    label = next_label(speaker.label for speaker in held.speakers)
    return {"id": str(uuid.uuid4()), "label": label, "display_name": name}


async def _apply(held: Held, change: Change) -> EditOut:
    """Write an edit, unless everything is so already."""
    if list(change.before) == list(change.after):
        return await _answer(held, None, [line.id for line in change.before], [])
    session, transcript = held.session, held.transcript
    if change.added:
        _require_room(held)
    for facts in change.added:
        held.speakers.append(await edits.add_speaker(session, held.file, _of_row(facts)))
    ids = {speaker.label: speaker.id for speaker in held.speakers}
    new = [values_of(line, ids) for line in change.after]
    await edits.replace(session, transcript.id, change.indexes, new)
    await _forget(held, change.forgotten)
    version = await edits.next_version(
        session,
        transcript,
        vocabulary=await _vocabulary(held, change),
        reassigned=_voices(change.before) != _voices(change.after),
    )
    edit = edits.note(
        session,
        held.file.id,
        held.user_id,
        version,
        change.action,
        _note(change.before, change.forgotten),
        _note(change.after, change.added),
    )
    stay = [line.id for line in change.after]
    answer = await _answer(held, edit.id, stay, [i for i in change.indexes if i not in stay])
    answer.version = version
    await search_notes.note_files(session, held.user_id, [held.file.id], spoken=True)
    told = transcript_updated(held.file.id, version, change.action)
    await events.append(
        session, held.user_id, Notice.transcript_updated, told, media_file_id=held.file.id
    )
    return answer


def _require_room(held: Held) -> None:
    """As for speakers who are added without words (`pipelines.speakers.structure.add`)."""
    count = len(held.speakers)
    if count >= held.most_speakers:
        raise SpeakerRefused(
            f"The file has {count} speakers, and can have {held.most_speakers}: merge or delete "
            "some."
        )


def _of_row(facts: Facts) -> Facts:
    return {**facts, "id": uuid.UUID(facts["id"])}


async def _forget(held: Held, speakers: Sequence[Facts]) -> None:
    gone = {uuid.UUID(facts["id"]) for facts in speakers}
    if gone:
        known = [speaker for speaker in held.speakers if speaker.id in gone]
        about = {(About.profile, one.profile_id) for one in known if one.profile_id is not None}
        about.add((About.file, held.file.id))
        await edits.drop_speakers(held.session, gone)
        await notes.note_all(held.session, about, held.user_id)
        held.speakers = [speaker for speaker in held.speakers if speaker.id not in gone]


def _note(lines: Sequence[Line], speakers: Sequence[Facts]) -> dict[str, Any]:
    return {"segments": [note_of(line) for line in lines], "speakers": list(speakers)}


def _voices(lines: Sequence[Line]) -> set[str | None]:
    """Who says something: a segment may be one speaker's, and words in it another's."""
    words = {word.speaker for line in lines for word in line.segment.words}
    return words or {line.segment.speaker for line in lines}


async def _vocabulary(held: Held, change: Change) -> Any:
    """The vocabulary of the whole transcript, where its text changed; in a thread: it is long."""
    if _said(change.before) == _said(change.after):
        return None
    texts = await edits.texts(held.session, held.transcript.id)
    return await asyncio.to_thread(vocabulary.stored, texts)


def _said(lines: Sequence[Line]) -> str:
    return " ".join(line.segment.text for line in lines)


async def _answer(
    held: Held, edit_id: uuid.UUID | None, ids: Sequence[uuid.UUID], removed: Sequence[uuid.UUID]
) -> EditOut:
    found: Sequence[Segment] = await edits.lines(held.session, held.transcript.id, ids)
    labels = rows.labels_of(held.speakers)
    return EditOut(
        version=held.transcript.version,
        edit_id=edit_id,
        segments=[rows.segment_answer(row, labels) for row in found],
        removed=list(removed),
        speakers=rows.speaker_answers(held.speakers),
    )
