"""What people say of one voice: who it is, who it is not, that a guess was right."""

import uuid
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ChangeAction, NameSource, Speaker, SpeakerProfile
from db.queries import events, profiles, speaker_rulings, speakers
from pipelines.errors import SpeakerRefused
from pipelines.notices import Notice, speakers_updated
from pipelines.speakers import identity, people
from pipelines.speakers.identity import NOBODY, Identity


class ProfileAction(StrEnum):
    """What a name that is given to a voice means for people across files."""

    update_profile = "update_profile"
    """The person whose voice it is, is called so: in all files."""
    create_new_profile = "create_new_profile"
    """It is the voice of somebody who is not known yet."""
    none = "none"
    """It is called so in this file only."""


async def call(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_id: uuid.UUID,
    name: str,
    action: ProfileAction | None,
) -> None:
    """Say what a voice is called; by default it is that of the user's person of this name.

    Raises:
        NotFound: it is not there.
        NameTaken: the user has a person of this name, and a new one was wanted.
        SpeakerRefused: a person was to be renamed, and it is nobody's voice yet.
    """
    if action is ProfileAction.update_profile:
        await rename_person(session, user_id, speaker_id, name)
        await confirm(session, user_id, speaker_id, verified=True)
        return
    [speaker] = await speakers.hold(session, user_id, {speaker_id})
    if action is ProfileAction.none:
        who = Identity(None, name, verified=True, name_source=NameSource.person)
        await identity.change(session, user_id, [(speaker, who)], ChangeAction.named)
        return
    if action is ProfileAction.create_new_profile:
        profile = await profiles.add(session, user_id, name, "")
    else:
        profile = await profiles.ensure(session, user_id, name)
    await assign(session, [speaker], profile, ChangeAction.named)


async def assign(
    session: AsyncSession,
    held: list[Speaker],
    profile: SpeakerProfile,
    action: ChangeAction,
) -> None:
    """Voices that are held are this person's, whatever was ruled out before."""
    await speaker_rulings.lift(session, [speaker.id for speaker in held], profile.id)
    wanted = [(speaker, Identity.person(profile)) for speaker in held]
    await identity.change(session, profile.user_id, wanted, action)


async def rename_person(
    session: AsyncSession, user_id: uuid.UUID, speaker_id: uuid.UUID, name: str
) -> None:
    """The person whose voice it is, is called so, in all files.

    Raises:
        NotFound: it is not there.
        NameTaken: the user has another person of this name.
        SpeakerRefused: it is nobody's voice yet.
    """
    await speakers.serialise(session, user_id)
    speaker = await speakers.get(session, user_id, speaker_id)
    if speaker.profile_id is None:
        raise SpeakerRefused(
            "The speaker has no profile that could be renamed: leave profile_action out."
        )
    await people.change(session, user_id, speaker.profile_id, {"name": name})


async def unname(session: AsyncSession, user_id: uuid.UUID, speaker_id: uuid.UUID) -> None:
    """Say that it is not known whose voice it is.

    Raises:
        NotFound: it is not there.
    """
    [speaker] = await speakers.hold(session, user_id, {speaker_id})
    await identity.change(session, user_id, [(speaker, NOBODY)], ChangeAction.unassigned)


async def confirm(
    session: AsyncSession, user_id: uuid.UUID, speaker_id: uuid.UUID, *, verified: bool
) -> None:
    """Say that a voice's name is right, or that somebody should look again.

    Raises:
        NotFound: it is not there.
        SpeakerRefused: it has no name.
    """
    [speaker] = await speakers.hold(session, user_id, {speaker_id})
    if speaker.display_name is None and verified:
        raise SpeakerRefused("The speaker has no name that could be verified: send display_name.")
    source = NameSource.person if verified else speaker.name_source
    who = Identity(speaker.profile_id, speaker.display_name, verified, source)
    action = ChangeAction.accepted if verified else ChangeAction.unassigned
    await identity.change(session, user_id, [(speaker, who)], action)


async def accept(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_id: uuid.UUID,
    profile_id: uuid.UUID | None,
    other_id: uuid.UUID | None,
) -> None:
    """Say that a voice is this person's, or the same one's as another voice.

    Without either, the name that it has is right.

    Raises:
        NotFound: one of them is not there.
        SpeakerRefused: there is no name to accept.
    """
    if profile_id is not None:
        [speaker] = await speakers.hold(session, user_id, {speaker_id})
        profile = await profiles.get(session, user_id, profile_id)
        await assign(session, [speaker], profile, ChangeAction.accepted)
    elif other_id is not None:
        await _accept_voice(session, user_id, speaker_id, other_id)
    else:
        await confirm(session, user_id, speaker_id, verified=True)


async def _accept_voice(
    session: AsyncSession, user_id: uuid.UUID, speaker_id: uuid.UUID, other_id: uuid.UUID
) -> None:
    """Where the other one has a name and no profile, one is made and both are its."""
    speaker, other = await _both(session, user_id, speaker_id, other_id)
    if other.display_name is None:
        raise SpeakerRefused(
            "The other speaker has no name either: send action create_profile and a profile_name."
        )
    if other.profile_id is not None:
        profile = await profiles.get(session, user_id, other.profile_id)
        await assign(session, [speaker], profile, ChangeAction.accepted)
        return
    profile = await profiles.ensure(session, user_id, other.display_name)
    await assign(session, [speaker, other], profile, ChangeAction.accepted)


async def reject(
    session: AsyncSession,
    user_id: uuid.UUID,
    speaker_id: uuid.UUID,
    profile_id: uuid.UUID | None,
    other_id: uuid.UUID | None,
) -> None:
    """Say that a voice is not this person's, or not the same one's as another voice.

    Without either, it is not that of the person whose it is now. It is never suggested again.

    Raises:
        NotFound: one of them is not there.
        SpeakerRefused: there is nobody to reject.
    """
    if other_id is not None:
        speaker, other = await _both(session, user_id, speaker_id, other_id)
        await speaker_rulings.part(session, speaker.id, other.id)
        await _disown(session, speaker, other.profile_id)
        return
    [speaker] = await speakers.hold(session, user_id, {speaker_id})
    whose = profile_id or speaker.profile_id
    if whose is None:
        raise SpeakerRefused("It is not said who the speaker is not: send profile_id.")
    await profiles.require(session, user_id, whose)
    await _disown(session, speaker, whose)


async def _disown(session: AsyncSession, speaker: Speaker, profile_id: uuid.UUID | None) -> None:
    """A voice is not this person's: never again, and not any more."""
    if profile_id is not None:
        await speaker_rulings.reject(session, speaker.id, profile_id)
    if profile_id is not None and speaker.profile_id == profile_id:
        wanted = [(speaker, NOBODY)]
        await identity.change(session, speaker.user_id, wanted, ChangeAction.rejected)
        return
    # Suggestions are others, though nobody is somebody else.
    told = speakers_updated(None, ChangeAction.rejected, [speaker.media_file_id])
    await events.append(session, speaker.user_id, Notice.speakers_updated, told)


async def _both(
    session: AsyncSession, user_id: uuid.UUID, speaker_id: uuid.UUID, other_id: uuid.UUID
) -> tuple[Speaker, Speaker]:
    if speaker_id == other_id:
        raise SpeakerRefused("A speaker is not compared with itself: name another one.")
    held = await speakers.hold(session, user_id, {speaker_id, other_id})
    by_id = {speaker.id: speaker for speaker in held}
    return by_id[speaker_id], by_id[other_id]
