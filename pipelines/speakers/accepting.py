"""Names that a voice gets without being asked about: only where the model's figures carry it.

Such a voice is not verified, so it is no part of a profile's voiceprint: no error feeds another.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import VoiceSettings
from db.models import ChangeAction
from db.queries import profiles, speakers, voice_matches
from db.queries.voice_matches import Nameless, Pair
from pipelines.speakers import identity
from pipelines.speakers.calibration import calibration
from pipelines.speakers.identity import Identity

MARGIN = 0.05
"""So much nearer than the second profile the first one must be: siblings, or one person with two
profiles, are near each other, and which of them it is a person should say. The cosines of two clips
of one voice differ by about as much from recording to recording."""


def choose(
    nameless: Iterable[Nameless],
    near: Mapping[Pair, float],
    ruled_out: Collection[Pair],
    present: Collection[Pair],
    high: float,
) -> Mapping[uuid.UUID, uuid.UUID]:
    """Which voices get which profiles' names.

    `near` and `ruled_out` are of (voice, profile), `present` of (file, profile). A voice whose
    nearest profile was ruled out gets none. One person speaks with one voice in a file: nobody gets
    the name of who is known to be there, and of two voices the nearer one gets it.
    """
    best: dict[Pair, tuple[float, uuid.UUID]] = {}
    by_voice = _by_voice(near)
    for voice in nameless:
        found = _winner(by_voice.get(voice.id, ()))
        if found is None:
            continue
        similarity, profile_id = found
        place = (voice.media_file_id, profile_id)
        refused = (voice.id, profile_id) in ruled_out or place in present
        if similarity >= high and not refused:
            best[place] = max(best.get(place, (-2.0, voice.id)), (similarity, voice.id))
    return {voice_id: profile_id for (_, profile_id), (_, voice_id) in best.items()}


def _by_voice(near: Mapping[Pair, float]) -> Mapping[uuid.UUID, list[tuple[float, uuid.UUID]]]:
    found: dict[uuid.UUID, list[tuple[float, uuid.UUID]]] = {}
    for (voice_id, profile_id), similarity in near.items():
        found.setdefault(voice_id, []).append((similarity, profile_id))
    return found


def _winner(near: Sequence[tuple[float, uuid.UUID]]) -> tuple[float, uuid.UUID] | None:
    """The nearest profile, if it is clearly nearer than the second."""
    ranked = sorted(near, reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0][0] - ranked[1][0] < MARGIN):
        return None
    return ranked[0]


async def accept(
    session: AsyncSession,
    user_id: uuid.UUID,
    models: Iterable[str],
    settings: VoiceSettings,
    *,
    file_id: uuid.UUID | None = None,
    profile_id: uuid.UUID | None = None,
) -> None:
    """Name voices of a file, or such as sound like a profile, where nobody needs to be asked.

    It begins a transaction, and ends it: it waits for whoever decides about this user's speakers,
    and tells the user's clients.
    """
    measured = {model: calibration(model, settings) for model in models}
    wanted: dict[uuid.UUID, uuid.UUID] = {}
    for model, thresholds in sorted(measured.items()):
        if thresholds.auto_accept:
            await speakers.serialise(session, user_id)
            nameless = await voice_matches.nameless(
                session, user_id, model, thresholds.high, file_id=file_id, profile_id=profile_id
            )
            wanted |= await _chosen(session, nameless, thresholds.high)
    if not wanted:
        return
    held = await speakers.hold(session, user_id, wanted, voiceprints=False)
    who = {
        profile_id: Identity.by_voice(await profiles.get(session, user_id, profile_id, lock=True))
        for profile_id in sorted(set(wanted.values()))
    }
    named = [(speaker, who[wanted[speaker.id]]) for speaker in held]
    await identity.change(session, user_id, named, ChangeAction.auto_accepted)


async def _chosen(
    session: AsyncSession, nameless: Sequence[Nameless], high: float
) -> Mapping[uuid.UUID, uuid.UUID]:
    if not nameless:
        return {}
    ids = [voice.id for voice in nameless]
    files = {voice.media_file_id for voice in nameless}
    return choose(
        nameless,
        await voice_matches.profiles_of(session, ids),
        await voice_matches.ruled_out(session, ids),
        await voice_matches.present(session, files),
        high,
    )
