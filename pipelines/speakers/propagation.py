"""A name given to one voice, for others that sound like it: shown first, then given."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import VoiceSettings
from db.models import ChangeAction, Speaker, SpeakerChange, SpeakerProfile
from db.queries import profiles, speaker_matches, speaker_rulings, speakers
from db.queries.speaker_matches import Follower
from pipelines.errors import SpeakerRefused
from pipelines.speakers import identity, thresholds
from pipelines.speakers.identity import Identity


class Skipped(StrEnum):
    """Why a voice did not get the name."""

    gone = "gone"
    """There is no such speaker, or no longer."""
    named = "named"
    """Somebody named it meanwhile."""
    ruled_out = "ruled_out"
    """A person said that it is not this one's."""
    not_alike = "not_alike"
    """It does not sound like it, or no longer."""


@dataclass(frozen=True, slots=True)
class Propagated:
    """Who got the name, and who did not."""

    profile: SpeakerProfile
    change: SpeakerChange | None
    """None: nobody is somebody else."""
    named: Sequence[uuid.UUID]
    skipped: Mapping[uuid.UUID, Skipped]


async def preview(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_id: uuid.UUID,
    name: str | None,
    settings: VoiceSettings,
    *,
    limit: int,
    offset: int,
) -> tuple[Sequence[Follower], int]:
    """One page of the voices that may get this speaker's name (or `name`), and how many they are.

    Raises:
        NotFound: the speaker is not there.
        SpeakerRefused: it has no name, and none was sent.
    """
    speaker = await speakers.get(session, user_id, speaker_id)
    profile = await _existing(session, speaker, name)
    return await speaker_matches.followers(
        session,
        speaker,
        profile,
        thresholds.suggested(settings),
        limit=limit,
        offset=offset,
    )


async def apply(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_id: uuid.UUID,
    followers: Collection[uuid.UUID],
    name: str | None,
    settings: VoiceSettings,
) -> Propagated:
    """Give a voice's name (or `name`, then to itself as well) to exactly these, in one change.

    Each is looked at again: those that do not sound like it any more, got a name, were ruled out or
    are gone are skipped.

    Raises:
        NotFound: the speaker is not there.
        SpeakerRefused: it has no name, and none was sent.
    """
    await speakers.serialise(session, user_id)
    there = await speakers.existing(session, user_id, {speaker_id, *followers})
    held = await speakers.hold(session, user_id, {speaker_id, *there}, voiceprints=False)
    by_id = {one.id: one for one in held}
    speaker = by_id.pop(speaker_id)
    wanted = set(followers) - {speaker_id}
    profile_id = await _existing(session, speaker, name)
    found, _ = await speaker_matches.followers(
        session,
        speaker,
        profile_id,
        thresholds.suggested(settings),
        limit=len(wanted),
        among=wanted,
    )
    alike = {one.speaker_id for one in found}
    skipped = await _skipped(session, speaker, profile_id, wanted - alike, by_id)
    profile = await profiles.ensure(session, user_id, name or speaker.display_name or "")
    await speaker_rulings.lift(session, [speaker.id], profile.id)
    who = Identity.person(profile)
    named = [speaker, *(by_id[one] for one in sorted(alike))]
    change = await identity.change(
        session, user_id, [(one, who) for one in named], ChangeAction.propagated
    )
    return Propagated(profile, change, sorted(alike), skipped)


async def _existing(session: AsyncSession, speaker: Speaker, name: str | None) -> uuid.UUID | None:
    """The profile whose voices the others would be; None: it is not made yet."""
    if name is not None:
        return await profiles.called(session, speaker.user_id, name)
    if speaker.display_name is None:
        raise SpeakerRefused("The speaker has no name to give to others: send display_name.")
    if speaker.profile_id is not None:
        return speaker.profile_id
    return await profiles.called(session, speaker.user_id, speaker.display_name)


async def _skipped(
    session: AsyncSession,
    speaker: Speaker,
    profile_id: uuid.UUID | None,
    left: Collection[uuid.UUID],
    there: Mapping[uuid.UUID, Speaker],
) -> Mapping[uuid.UUID, Skipped]:
    apart = await speaker_rulings.apart_from(session, speaker.id, left)
    if profile_id is not None:
        apart |= await speaker_rulings.of_profile(session, left, profile_id)
    return {one: _why(there.get(one), apart) for one in sorted(left)}


def _why(speaker: Speaker | None, apart: Collection[uuid.UUID]) -> Skipped:
    if speaker is None:
        return Skipped.gone
    if speaker.display_name is not None:
        return Skipped.named
    return Skipped.ruled_out if speaker.id in apart else Skipped.not_alike
