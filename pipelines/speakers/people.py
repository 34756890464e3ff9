"""People as profiles: called otherwise, merged, deleted, with all their voices."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from db.objects.keys import profile_prefix
from db.queries import enrolments, events, profile_voices, profiles, speakers
from pipelines import leftovers
from pipelines.notices import Notice, speakers_updated
from pipelines.search import notes as search_notes
from pipelines.speakers import notes
from pipelines.speakers.notes import About

RENAMED = "renamed"
MERGED = "merged"
DELETED = "profile_deleted"
"""Actions that clients are told."""


async def change(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, changes: Mapping[str, str]
) -> None:
    """Change name or description; all the person's voices follow. Tells clients: call it last.

    Raises:
        NotFound: there is none that this user may see.
        NameTaken: the user has another person of this name.
    """
    await speakers.serialise(session, user_id)
    before = await profiles.get(session, user_id, profile_id)
    await profiles.change(session, user_id, profile_id, changes)
    name = changes.get("name", before.name)
    if name != before.name:
        files = await profile_voices.give(session, user_id, profile_id, profile_id, name)
        await search_notes.note_files(session, user_id, files, spoken=False)
        await _tell(session, user_id, RENAMED, files)


async def merge(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, target_id: uuid.UUID
) -> None:
    """Make two profiles one: what the first has is the second's. Tells clients: call it last.

    Voices, clips, memberships in collections and rejections move; that two voices of the person
    were told apart is forgotten. The first one's description goes.

    Raises:
        NotFound: one of them is none that this user may see.
    """
    await speakers.serialise(session, user_id)
    for each in sorted((profile_id, target_id)):
        await profiles.require(session, user_id, each, lock=True)
    target = await profiles.get(session, user_id, target_id)
    files = await profile_voices.give(session, user_id, profile_id, target_id, target.name)
    await profile_voices.unite(session, user_id, profile_id, target_id)
    # As whoever deletes a file: notes first, then what hangs on voices.
    both = [(About.profile, each) for each in (profile_id, target_id)]
    await notes.note_all(session, both, user_id)
    await profiles.remove(session, user_id, profile_id)
    await search_notes.note_files(session, user_id, files, spoken=False)
    await _tell(session, user_id, MERGED, files)


async def delete(session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID) -> Sequence[str]:
    """Delete a profile and its clips. Tells clients: call it last.

    Its voices keep the name and whether somebody verified it, as a label of the file: the
    transcripts read as before. Says which objects are noted as leftovers.

    Raises:
        NotFound: there is none that this user may see.
    """
    await speakers.serialise(session, user_id)
    await profiles.get(session, user_id, profile_id, lock=True)
    # As whoever deletes a file: files, then notes, then what hangs on voices.
    files = await profile_voices.locked_files(session, user_id, profile_id)
    objects = await note_clips(session, user_id, profile_id)
    await notes.note(session, About.profile, profile_id, user_id)
    await profiles.remove(session, user_id, profile_id)
    await _tell(session, user_id, DELETED, files)
    return objects


async def note_clips(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID
) -> Sequence[str]:
    """Note all clips of a profile as leftovers; says under which prefixes they are."""
    # Those that came from a profile that was merged have that one's prefix.
    keys = [clip.object_key for clip in await enrolments.of_profile(session, profile_id)]
    prefixes = [profile_prefix(user_id, profile_id), *keys]
    for prefix in prefixes:
        await leftovers.note(session, prefix, after=timedelta(0))
    return prefixes


async def _tell(
    session: AsyncSession, user_id: uuid.UUID, action: str, files: Sequence[uuid.UUID]
) -> None:
    told = speakers_updated(None, action, files)
    await events.append(session, user_id, Notice.speakers_updated, told)
