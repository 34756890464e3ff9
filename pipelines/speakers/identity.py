"""Whose voice it is: the one place where speakers get and lose names and profiles."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ChangeAction, NameSource, Speaker, SpeakerChange, SpeakerProfile, Transcript
from db.queries import edits, events, speaker_rulings, speakers
from db.queries.among import one_of
from db.queries.edits import EditAction
from pipelines.errors import SpeakerRefused
from pipelines.notices import Notice, speakers_updated
from pipelines.search import notes as search_notes
from pipelines.speakers import notes
from pipelines.speakers.notes import About


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a speaker is."""

    profile_id: uuid.UUID | None = None
    display_name: str | None = None
    verified: bool = False
    name_source: NameSource | None = None

    @classmethod
    def of(cls, speaker: Speaker) -> Self:
        """As the row says."""
        return cls(speaker.profile_id, speaker.display_name, speaker.verified, speaker.name_source)

    @classmethod
    def person(cls, profile: SpeakerProfile) -> Self:
        """Somebody said that it is this person."""
        return cls(profile.id, profile.name, verified=True, name_source=NameSource.person)

    @classmethod
    def by_voice(cls, profile: SpeakerProfile) -> Self:
        """The voice alone says that it is this person."""
        return cls(profile.id, profile.name, verified=False, name_source=NameSource.voice)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """As `stored` wrote it."""
        profile, source = stored["profile_id"], stored["name_source"]
        return cls(
            uuid.UUID(profile) if profile else None,
            stored["display_name"],
            stored["verified"],
            NameSource(source) if source else None,
        )

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "profile_id": str(self.profile_id) if self.profile_id else None}


NOBODY = Identity()


async def change(
    session: AsyncSession,
    user_id: uuid.UUID,
    wanted: Sequence[tuple[Speaker, Identity]],
    action: ChangeAction,
) -> SpeakerChange | None:
    """Say whose voices these are; None: they were so already.

    The speakers are held (`db.queries.speakers.hold`). Every transcript in which somebody is called
    otherwise gets a new version, which is what exports, subtitles and analytics are kept by, and an
    entry in its history. Profiles that win or lose a voice are noted, so that their voiceprints
    follow. Tells the user's clients: call it last in a transaction.
    """
    changed = [(speaker, who) for speaker, who in wanted if Identity.of(speaker) != who]
    if not changed:
        return None
    before = {str(speaker.id): Identity.of(speaker) for speaker, _ in changed}
    entry = SpeakerChange(
        id=uuid.uuid4(),
        user_id=user_id,
        action=action,
        before={key: who.stored() for key, who in before.items()},
        after={str(speaker.id): who.stored() for speaker, who in changed},
    )
    session.add(entry)
    profiles = {
        profile_id
        for speaker, who in changed
        for profile_id in (speaker.profile_id, who.profile_id)
        if profile_id is not None
    }
    renamed = [(speaker, who) for speaker, who in changed if _called_otherwise(speaker, who)]
    await _new_versions(session, user_id, renamed)
    for speaker, who in changed:
        speaker.profile_id, speaker.display_name = who.profile_id, who.display_name
        speaker.verified, speaker.name_source = who.verified, who.name_source
        if who.display_name is not None:
            # Clusters are of voices without a name.
            speaker.cluster_id = speaker.cluster_similarity = None
    await session.flush()
    await notes.note_all(session, [(About.profile, each) for each in profiles], user_id)
    called = {speaker.media_file_id for speaker, _ in renamed}
    await search_notes.note_files(session, user_id, called, spoken=False)
    files = sorted({speaker.media_file_id for speaker, _ in changed})
    told = speakers_updated(entry.id, action, files)
    await events.append(session, user_id, Notice.speakers_updated, told)
    return entry


def _called_otherwise(speaker: Speaker, who: Identity) -> bool:
    return speaker.display_name != who.display_name


async def _new_versions(
    session: AsyncSession, user_id: uuid.UUID, renamed: Sequence[tuple[Speaker, Identity]]
) -> None:
    by_file: dict[uuid.UUID, list[tuple[Speaker, Identity]]] = {}
    for speaker, who in renamed:
        by_file.setdefault(speaker.media_file_id, []).append((speaker, who))
    if not by_file:
        return
    rows = await session.execute(
        update(Transcript)
        .where(Transcript.media_file_id == one_of(by_file))
        .values(version=Transcript.version + 1)
        .returning(Transcript.media_file_id, Transcript.version)
        .execution_options(synchronize_session=False)
    )
    for file_id, version in rows.all():
        named = by_file[file_id]
        old = [fact(speaker, Identity.of(speaker)) for speaker, _ in named]
        new = [fact(speaker, who) for speaker, who in named]
        edits.note(
            session,
            file_id,
            user_id,
            version,
            EditAction.speakers_named,
            {"segments": [], "speakers": old},
            {"segments": [], "speakers": new},
        )


def fact(speaker: Speaker, who: Identity) -> dict[str, Any]:
    """A speaker as histories keep it."""
    # With the profile, by which an erasure finds whom it is about under any name.
    told = {"id": str(speaker.id), "label": speaker.label, "display_name": who.display_name}
    return {**told, "profile_id": str(who.profile_id) if who.profile_id else None}


async def undo(session: AsyncSession, entry: SpeakerChange) -> Sequence[uuid.UUID]:
    """Put speakers back to what they were before a change; says for whom that was not done.

    These are whom somebody changed since, who are gone themselves, or whose profile of then is.
    That a voice was not somebody's is forgotten where it is theirs again.

    Raises:
        SpeakerRefused: it was undone before, or nobody is left for whom it could be.
    """
    if entry.undone:
        raise SpeakerRefused(f"Change {entry.id} was undone already; undo the undoing instead.")
    ids = {uuid.UUID(key) for key in entry.after}
    await speakers.serialise(session, entry.user_id)
    there = await speakers.existing(session, entry.user_id, ids)
    held = await speakers.hold(session, entry.user_id, there, voiceprints=False)
    names = await _names(session, entry)
    wanted = []
    for speaker in held:
        earlier = Identity.read(entry.before[str(speaker.id)])
        later = Identity.read(entry.after[str(speaker.id)])
        gone = earlier.profile_id is not None and earlier.profile_id not in names
        if not gone and Identity.of(speaker) == _now(later, names):
            wanted.append((speaker, _now(earlier, names)))
    if not wanted:
        raise SpeakerRefused(f"All voices that change {entry.id} was about were changed since.")
    entry.undone = True
    returning: dict[uuid.UUID, list[uuid.UUID]] = {}
    for speaker, who in wanted:
        if who.profile_id is not None:
            returning.setdefault(who.profile_id, []).append(speaker.id)
    for profile_id, theirs in sorted(returning.items()):
        await speaker_rulings.lift(session, theirs, profile_id)
    await change(session, entry.user_id, wanted, ChangeAction.undone)
    return sorted(ids - {speaker.id for speaker, _ in wanted})


def _now(who: Identity, names: Mapping[uuid.UUID, str]) -> Identity:
    """The same person, who may be called otherwise by now."""
    if who.profile_id is None or who.profile_id not in names:
        return who
    return replace(who, display_name=names[who.profile_id])


async def _names(session: AsyncSession, entry: SpeakerChange) -> Mapping[uuid.UUID, str]:
    """What the profiles of a change are called now; those that are gone are missing."""
    told = [*entry.before.values(), *entry.after.values()]
    ids = {uuid.UUID(each["profile_id"]) for each in told if each["profile_id"]}
    rows = await session.execute(
        select(SpeakerProfile.id, SpeakerProfile.name).where(
            SpeakerProfile.user_id == entry.user_id, SpeakerProfile.id == one_of(ids)
        )
    )
    return dict(rows.all())
