"""Which speakers a file has: adds, merges, splits and removes them, with words, turns and voices.

Each of these makes a version of the transcript, writes its history, and has the vector store and
the profiles follow. None can be undone as a change of names can: words of two are words of one.
"""

import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ChangeAction, MediaFile, Speaker, Task, Transcript
from db.queries import edits, events, profiles, speaker_rulings, speaker_structure, speakers
from db.queries.edits import EditAction
from pipelines.errors import SpeakerRefused
from pipelines.notices import Notice, speakers_updated, transcript_updated
from pipelines.search import notes as search_notes
from pipelines.speakers import erasure, identity, notes, requests, turns
from pipelines.speakers.identity import Identity
from pipelines.speakers.notes import About
from serving.voiceprints import mean_voiceprint

NUMBERED = re.compile(r"SPEAKER_(\d+)")
LEAST_WEIGHT = 1e-3
"""Of a voiceprint without a second alone: it counts where there is no other."""


def next_label(labels: Iterable[str]) -> str:
    """The label of a speaker that people add to these."""
    numbers = [int(match[1]) for label in labels if (match := NUMBERED.fullmatch(label))]
    return f"SPEAKER_{max(numbers, default=-1) + 1:02d}"


async def add(session: AsyncSession, file: MediaFile, name: str, limit: int) -> uuid.UUID:
    """A speaker of this name who has no words yet, in a file whose transcript is held.

    Raises:
        SpeakerRefused: the file has as many as it may have.
    """
    speaker = await _new(session, file, limit)
    profile = await profiles.ensure(session, file.user_id, name)
    wanted = [(speaker, Identity.person(profile))]
    await identity.change(session, file.user_id, wanted, ChangeAction.named)
    return speaker.id


async def _new(session: AsyncSession, file: MediaFile, limit: int) -> Speaker:
    labels = await speaker_structure.labels(session, file.id)
    if len(labels) >= limit:
        raise SpeakerRefused(
            f"The file has {len(labels)} speakers, and can have {limit}: merge or delete some."
        )
    facts = {"id": uuid.uuid4(), "label": next_label(labels)}
    return await edits.add_speaker(session, file, facts)


async def merge(
    session: AsyncSession, user_id: uuid.UUID, source_id: uuid.UUID, target_id: uuid.UUID
) -> None:
    """Make two speakers of a file one: the source's words and voice become the target's.

    The target stays who it is; where it is nobody yet, it becomes who the source was.

    Raises:
        NotFound: one of them is not there.
        SpeakerRefused: it is one speaker, or they are of different files.
    """
    if source_id == target_id:
        raise SpeakerRefused("A speaker cannot be merged with itself: name two.")
    held = {one.id: one for one in await speakers.hold(session, user_id, {source_id, target_id})}
    source, target = held[source_id], held[target_id]
    if source.media_file_id != target.media_file_id:
        raise SpeakerRefused(
            "Speakers of different files are not merged: give both the same profile instead "
            f"(POST /api/speakers/{source_id}/verify)."
        )
    transcript = await speaker_structure.transcript_of(session, source.media_file_id)
    before = [_fact(source), _fact(target)]
    who = Identity.of(target) if target.display_name is not None else Identity.of(source)
    await speaker_structure.give(session, transcript.id, source, target)
    _retell(transcript, lambda told: turns.merged(told, source.label, target.label))
    await _join_voices(session, source, target)
    await speaker_rulings.unite(session, source.id, target.id)
    if who.profile_id is not None:
        await speaker_rulings.lift(session, [target.id], who.profile_id)
    await speaker_structure.remove(session, source)
    await _changed(
        session, transcript, EditAction.speakers_merged, before, [_fact(target)], [source, target]
    )
    await identity.change(session, user_id, [(target, who)], ChangeAction.named)
    await _tell(session, transcript, user_id, EditAction.speakers_merged)


async def _join_voices(session: AsyncSession, source: Speaker, target: Speaker) -> None:
    """The mean of both voiceprints, by how much of each is speech alone.

    Where one was forgotten there is none: the other one's words are the same person's.
    """
    theirs = [one for one in (target, source) if one.embedding is not None]
    if source.voiceprint_erased or target.voiceprint_erased:
        await erasure.forget_voiceprints(session, target.user_id, [target])
    elif theirs:
        first = theirs[0]
        # Those of two models cannot be averaged: the target's is kept.
        alike = [one for one in theirs if one.embedding_model == first.embedding_model]
        weights = np.array([max(one.clean_seconds, LEAST_WEIGHT) for one in alike])
        mean = mean_voiceprint(np.array([one.embedding for one in alike]), weights)
        target.embedding = list(mean) if mean else first.embedding
        target.embedding_model = first.embedding_model
    target.speech_seconds += source.speech_seconds
    target.clean_seconds += source.clean_seconds


async def split(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_id: uuid.UUID,
    segment_ids: Collection[uuid.UUID],
    name: str | None,
    limit: int,
) -> tuple[uuid.UUID, Task | None]:
    """Give some of a speaker's segments to a new one; says whom, and which task hears both anew.

    None: nobody heard the speaker before, its voiceprint was forgotten (so is the new one's), or
    such a task waits already.

    Raises:
        NotFound: the speaker is not there, or one of the segments is not its.
        SpeakerRefused: these are all its segments, or the file has as many speakers as it may have.
    """
    [source] = await speakers.hold(session, user_id, {speaker_id})
    transcript = await speaker_structure.transcript_of(session, source.media_file_id)
    spans = await speaker_structure.segments_of(session, source, segment_ids)
    if len(spans) == await speaker_structure.count_segments(session, source.id):
        raise SpeakerRefused(
            "These are all segments of the speaker: leave one, or rename the speaker instead."
        )
    file = await session.get_one(MediaFile, source.media_file_id)
    before = [_fact(source)]
    made = await _new(session, file, limit)
    made.voiceprint_erased = source.voiceprint_erased
    await speaker_structure.give(session, transcript.id, source, made, segment_ids)
    _retell(transcript, lambda told: turns.split(told, source.label, made.label, spans))
    for one in (source, made):
        one.speech_seconds, one.clean_seconds = turns.seconds(transcript.turns, one.label)
    after = [_fact(source), _fact(made)]
    await _changed(session, transcript, EditAction.speaker_split, before, after, [source])
    if name is not None:
        profile = await profiles.ensure(session, user_id, name)
        await identity.change(
            session, user_id, [(made, Identity.person(profile))], ChangeAction.named
        )
    task = None
    if source.embedding_model is not None and not source.voiceprint_erased:
        task = await requests.of_file(session, user_id, file.id, file.duration or 0.0)
    await _tell(session, transcript, user_id, EditAction.speaker_split)
    return made.id, task


async def remove(session: AsyncSession, user_id: uuid.UUID, speaker_id: uuid.UUID) -> None:
    """Forget a speaker: its words stay, and are nobody's.

    Raises:
        NotFound: it is not there.
    """
    [speaker] = await speakers.hold(session, user_id, {speaker_id})
    transcript = await speaker_structure.transcript_of(session, speaker.media_file_id)
    await speaker_structure.give(session, transcript.id, speaker, None)
    _retell(transcript, lambda told: turns.without(told, speaker.label))
    await speaker_structure.remove(session, speaker)
    before = [_fact(speaker)]
    await _changed(session, transcript, EditAction.speaker_removed, before, [], [speaker])
    await _tell(session, transcript, user_id, EditAction.speaker_removed)


def _retell(transcript: Transcript, change: Any) -> None:
    transcript.turns = change(transcript.turns)
    transcript.exclusive_turns = change(transcript.exclusive_turns)


def _fact(speaker: Speaker) -> dict[str, Any]:
    return identity.fact(speaker, Identity.of(speaker))


async def _changed(
    session: AsyncSession,
    transcript: Transcript,
    action: EditAction,
    before: Sequence[dict[str, Any]],
    after: Sequence[dict[str, Any]],
    voices: Sequence[Speaker],
) -> None:
    """A new version with its history; the stores that know these voices follow."""
    await session.flush()
    owner = voices[0].user_id
    version = await edits.next_version(session, transcript, vocabulary=None, reassigned=False)
    edits.note(
        session,
        transcript.media_file_id,
        owner,
        version,
        action,
        {"segments": [], "speakers": list(before)},
        {"segments": [], "speakers": list(after)},
    )
    await session.flush()
    await notes.note(session, About.file, transcript.media_file_id, owner)
    for profile_id in sorted({one.profile_id for one in voices if one.profile_id is not None}):
        await notes.note(session, About.profile, profile_id, owner)
    await search_notes.note_files(session, owner, [transcript.media_file_id], spoken=True)


async def _tell(
    session: AsyncSession, transcript: Transcript, user_id: uuid.UUID, action: EditAction
) -> None:
    """Let the user's clients know: last in the transaction."""
    file_id = transcript.media_file_id
    version = await speaker_structure.version_of(session, transcript.id)
    told = transcript_updated(file_id, version, action)
    await events.append(session, user_id, Notice.transcript_updated, told, media_file_id=file_id)
    told = speakers_updated(None, action, [file_id])
    await events.append(session, user_id, Notice.speakers_updated, told)
