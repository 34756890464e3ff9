"""Which voices sound alike: the vector store proposes, the rows decide, PostgreSQL keeps it.

Similarities are computed from the rows' voiceprints, so that an approximate, quantised or outdated
answer of the store costs a match at most, and never makes one that is not true.
"""

import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import VoiceSettings
from db.queries import voice_matches, voiceprints
from db.queries.voice_matches import Pair
from db.queries.voiceprints import Voiceprint
from db.vectors.port import VectorStore
from pipelines.speakers.calibration import calibration
from pipelines.speakers.points import MEDIA_FILE, Kind, by_space, of_kind, units

BATCH = 500
"""Voiceprints that are compared at a time: they are in memory, and the loop does other work."""

Load = Callable[[Sequence[uuid.UUID]], Awaitable[Sequence[Voiceprint]]]


async def neighbours(
    store: VectorStore,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    own: Sequence[Voiceprint],
    settings: VoiceSettings,
) -> tuple[set[Pair], set[Pair]]:
    """(own voice, voice of another file) and (own voice, profile) that the store finds near."""
    voices: set[Pair] = set()
    people: set[Pair] = set()
    for space, group in by_space(own).items():
        search = partial(
            store.search,
            space.name,
            user_id,
            [voice.embedding for voice in group],
            limit=settings.neighbours,
            at_least=calibration(group[0].model, settings).medium,
        )
        elsewhere = {MEDIA_FILE: [str(file_id)]}
        found = await search(matching=of_kind(Kind.speaker), excluding=elsewhere)
        voices |= {(v.id, hit.id) for v, hits in zip(group, found, strict=True) for hit in hits}
        found = await search(matching=of_kind(Kind.profile))
        people |= {(v.id, hit.id) for v, hits in zip(group, found, strict=True) for hit in hits}
    return voices, people


async def audience(
    store: VectorStore,
    user_id: uuid.UUID,
    own: Sequence[Voiceprint],
    members: Collection[uuid.UUID],
    settings: VoiceSettings,
) -> set[Pair]:
    """(profile, voice) that the store finds near a profile's voiceprints, but for its members."""
    pairs: set[Pair] = set()
    for space, group in by_space(own).items():
        [hits] = await store.search(
            space.name,
            user_id,
            [group[0].embedding],
            # The members come first, and are no news.
            limit=settings.profile_neighbours + len(members),
            at_least=calibration(group[0].model, settings).medium,
            matching=of_kind(Kind.speaker),
        )
        news = [hit.id for hit in hits if hit.id not in members][: settings.profile_neighbours]
        pairs |= {(group[0].id, speaker_id) for speaker_id in news}
    return pairs


def alike(
    own: Sequence[Voiceprint],
    others: Sequence[Voiceprint],
    asked: Collection[Pair],
    settings: VoiceSettings,
) -> Iterator[tuple[Pair, float]]:
    """Those pairs, of the asked ones, that are of one model and at least as near as `medium`."""
    theirs = by_space(others)
    for space, mine in by_space(own).items():
        if space not in theirs:
            continue
        medium = calibration(mine[0].model, settings).medium
        cosines = _matrix(mine) @ _matrix(theirs[space]).T
        for row, column in np.argwhere(cosines >= medium).tolist():
            pair = mine[row].id, theirs[space][column].id
            if pair in asked:
                # As the column keeps it, so that what has not changed is not written again.
                yield pair, min(1.0, float(np.float32(cosines[row, column])))


def _matrix(voices: Sequence[Voiceprint]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([voice.embedding for voice in voices], dtype=np.float64)


async def write_file(
    session: AsyncSession,
    user_id: uuid.UUID,
    own: Sequence[Voiceprint],
    speaker_ids: Collection[uuid.UUID],
    near: tuple[set[Pair], set[Pair]],
    settings: VoiceSettings,
) -> None:
    """Store what a file's voices sound like: what the store proposes, and what is true still.

    `own` are the voices that are compared, `speaker_ids` all of the file's, locked.
    """
    ids = set(speaker_ids)
    before = await voice_matches.of_voices(session, ids)
    asked = near[0] | {
        (first, second) if first in ids else (second, first) for first, second in before
    }
    minimum = settings.min_clean_seconds
    load = partial(voiceprints.of_speakers, session, user_id, min_clean_seconds=minimum)
    found = await _true(own, asked, load, settings)
    after = {(min(pair), max(pair)): cosine for pair, cosine in found.items()}
    await voice_matches.put_voices(session, before, after)
    before = await voice_matches.profiles_of(session, ids)
    load = partial(voiceprints.of_profiles, session, user_id)
    after = await _true(own, near[1] | before.keys(), load, settings)
    await voice_matches.put_profiles(session, before, after)


async def write_profile(
    session: AsyncSession,
    user_id: uuid.UUID,
    profile_id: uuid.UUID,
    own: Sequence[Voiceprint],
    near: set[Pair],
    members: Collection[uuid.UUID],
    settings: VoiceSettings,
) -> None:
    """Store which voices sound like a profile: what the store proposes, and what is true still."""
    before = await voice_matches.voices_of(session, profile_id)
    known = {(profile, speaker) for speaker, profile in before if speaker not in members}
    minimum = settings.min_clean_seconds
    load = partial(voiceprints.of_speakers, session, user_id, min_clean_seconds=minimum)
    found = await _true(own, near | known, load, settings)
    after = {(speaker, profile): cosine for (profile, speaker), cosine in found.items()}
    await voice_matches.put_profiles(session, before, after)


async def _true(
    own: Sequence[Voiceprint], asked: Collection[Pair], load: Load, settings: VoiceSettings
) -> dict[Pair, float]:
    others = sorted({other for _, other in asked}) if own else []
    true: dict[Pair, float] = {}
    for at in range(0, len(others), BATCH):
        there = units(await load(others[at : at + BATCH]))
        true.update(alike(own, there, asked, settings))
    return true
