"""Forgets a person everywhere: names, voiceprints, clips, and what kept them in passing.

What people wrote or said stays: text of transcripts and comments, names of files. So do the voices
themselves, as nobody's; their voiceprints are not computed again, also when a file is processed
anew and the same voice is heard at the same times (pipelines.speakers.handover). What language
models made of transcripts goes, and may be made again, of what is left.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import MediaFile, Speaker, SpeakerChange, SpeakerProfile
from db.objects.keys import subtitled_prefix
from db.queries import edits, enrolments, erasure, events, profiles, speakers
from db.queries.edits import EditAction
from pipelines import leftovers
from pipelines.language import forgetting
from pipelines.notices import Notice, speakers_updated
from pipelines.search import notes as search_notes
from pipelines.speakers import notes, people
from pipelines.speakers.kept_voiceprints import VOICEPRINTS
from pipelines.speakers.notes import About
from pipelines.speakers.redaction import Person

ERASED = "erased"
"""The action that clients are told."""
STRAGGLERS = timedelta(hours=3)
"""Until when a video may appear that was begun before: its address for writing ends before."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What of a person was removed."""

    voices: int
    files: int
    """In which those voices are."""
    enrolments: int
    mentions: int
    """Entries of histories, kept answers and events that named them."""
    checkpoints: int
    """Stored results of diarization, which hold voiceprints."""
    derived: int
    """Summaries and suggestions that language models made."""
    objects: Sequence[str]
    """Prefixes of objects that are noted as leftovers: remove them after the transaction."""


async def forget_person(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID
) -> Forgotten:
    """Forget a person in this transaction, as its last statements.

    Voices are those of the profile, and those without one that are called as it is or was.

    Raises:
        NotFound: there is no such profile that this user may see.
    """
    await speakers.serialise(session, user_id)
    at_work = await forgetting.hold(session, user_id)
    profile = await profiles.get(session, user_id, profile_id, lock=True)
    clips = await enrolments.of_profile(session, profile_id)
    found = await erasure.changes(session, user_id, [str(profile_id)])
    names = _names(profile, found)
    held = await _hold(session, user_id, profile_id, names)
    person = Person(
        names,
        ids={str(profile_id), *(str(clip.id) for clip in clips)},
        voices={str(speaker.id) for speaker in held},
        earlier=_earlier(profile_id, found),
        others=await erasure.other_people(session, user_id, profile_id),
    )
    files = sorted({speaker.media_file_id for speaker in held})
    shown = await erasure.files_about(session, user_id, person.earlier, person.needles)
    objects = [*await people.note_clips(session, user_id, profile_id)]
    objects += await _note_videos(session, shown.union(files))
    mentions = await _redact(session, user_id, files, person)
    await erasure.unlabel_clusters(session, user_id, names)
    await erasure.drop_enrolment_tasks(session, user_id, person.ids)
    derived = await forgetting.forget(session, user_id, shown.union(files), person)
    checkpoints = await forget_voiceprints(session, user_id, held)
    await _forget_names(session, held)
    await _new_versions(session, user_id, files)
    await erasure.drop_analytics(session, files)
    await profiles.remove(session, user_id, profile_id)
    await notes.note(session, About.profile, profile_id, user_id)
    await forgetting.begin_anew(session, at_work)
    await search_notes.note_files(session, user_id, files, spoken=False)
    told = speakers_updated(None, ERASED, files)
    await events.append(session, user_id, Notice.speakers_updated, told)
    return Forgotten(len(held), len(files), len(clips), mentions, checkpoints, derived, objects)


async def forget_voiceprints(
    session: AsyncSession, user_id: uuid.UUID, held: Sequence[Speaker]
) -> int:
    """Speakers that are held lose their voiceprints, matches and clusters; names stay.

    Stored diarizations of their files go too, since they hold the voiceprints; says how many. The
    vector store follows by notes.
    """
    files = sorted({speaker.media_file_id for speaker in held})
    await notes.note_going(session, user_id, files)
    for speaker in held:
        speaker.embedding = speaker.embedding_model = None
        speaker.voiceprint_erased = True
        speaker.cluster_id = speaker.cluster_similarity = None
    await session.flush()
    await erasure.drop_matches(session, [speaker.id for speaker in held])
    return await erasure.drop_checkpoints(session, files, VOICEPRINTS)


async def _forget_names(session: AsyncSession, held: Sequence[Speaker]) -> None:
    for speaker in held:
        speaker.profile_id = speaker.display_name = speaker.name_source = None
        speaker.verified = False
    await session.flush()
    await erasure.drop_rejections(session, [speaker.id for speaker in held])


async def _hold(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, names: Sequence[str]
) -> Sequence[Speaker]:
    """All voices of the person; those of a file that goes meanwhile are waited for, and gone."""
    while True:
        found = await erasure.voices(session, user_id, profile_id, names)
        try:
            return await speakers.hold(session, user_id, found)
        except NotFound:
            # A file was deleted or published anew between the two looks: look again.
            continue


def _names(profile: SpeakerProfile, changes: Sequence[SpeakerChange]) -> list[str]:
    """What somebody is called, and was while voices became theirs."""
    names = {profile.name}
    for change in changes:
        for facts in [*change.before.values(), *change.after.values()]:
            if facts["profile_id"] == str(profile.id) and facts["display_name"]:
                names.add(facts["display_name"])
    return sorted(names)


def _earlier(profile_id: uuid.UUID, changes: Sequence[SpeakerChange]) -> frozenset[str]:
    """Voices that were this person's once."""
    return frozenset(
        voice
        for change in changes
        for voice, facts in [*change.before.items(), *change.after.items()]
        if facts["profile_id"] == str(profile_id)
    )


async def _note_videos(session: AsyncSession, file_ids: Collection[uuid.UUID]) -> list[str]:
    """Where videos are kept that have names in their subtitles, also of versions before."""
    rows = await session.scalars(
        select(MediaFile).where(MediaFile.id.in_(file_ids)).order_by(MediaFile.id)
    )
    videos = [subtitled_prefix(row.object_key) for row in rows if row.probe.get("has_video")]
    for prefix in videos:
        await leftovers.note(session, prefix, after=timedelta(0))
        # Without its last character it is another note about the same objects.
        await leftovers.note(session, prefix[:-1], after=STRAGGLERS)
    return videos


async def _redact(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Sequence[uuid.UUID], person: Person
) -> int:
    """Take the person out of histories, kept answers and events; says out of how many."""
    needles = person.needles
    changes = await erasure.changes(session, user_id, needles)
    for change in changes:
        change.before, change.after = person.facts(change.before), person.facts(change.after)
    await session.flush()
    return (
        len(changes)
        + await erasure.rewrite_history(session, user_id, file_ids, needles, person.facts)
        + await erasure.rewrite_answers(session, user_id, needles, person.words)
        + await erasure.rewrite_events(session, user_id, needles, person.words)
    )


async def _new_versions(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Sequence[uuid.UUID]
) -> None:
    """As `identity.change` does it, but the history does not say who it was."""
    versions = await erasure.next_versions(session, file_ids)
    for file_id, version in versions.items():
        nothing: dict[str, Any] = {"segments": [], "speakers": []}
        action = EditAction.speakers_named
        edits.note(session, file_id, user_id, version, action, nothing, nothing)
    await session.flush()
