"""A profile's voiceprint: the mean of the voices that people verified and of its enrolments.

Always made from the rows, never added to or taken from: what is stored can be explained by what is
there (ADR 20).
"""

import uuid
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import VoiceSettings
from db.queries import voiceprints
from db.queries.voiceprints import Mean, Sample
from serving.voiceprints import mean_voiceprint

FULL_WEIGHT_SECONDS = 60.0
"""A sample with more speech counts no more than this: a voiceprint hardly gets better beyond it,
and one lecture must not outvote a person's other recordings, made with other microphones."""


def means(samples: Sequence[Sample]) -> Mapping[str, Mean]:
    """Voiceprints by model; of one whose samples have no common direction there is none."""
    ordered = sorted(samples, key=attrgetter("model"))
    found = {model: _mean(list(group)) for model, group in groupby(ordered, attrgetter("model"))}
    return {model: mean for model, mean in found.items() if mean is not None}


def _mean(samples: Sequence[Sample]) -> Mean | None:
    vectors = np.array([sample.embedding for sample in samples], dtype=np.float64)
    seconds = np.array([sample.clean_seconds for sample in samples])
    mean = mean_voiceprint(vectors, np.minimum(seconds, FULL_WEIGHT_SECONDS))
    return None if mean is None else Mean(mean, len(samples), float(seconds.sum()))


async def compute(
    session: AsyncSession, profile_id: uuid.UUID, settings: VoiceSettings
) -> Mapping[str, Mean]:
    """What the rows say now."""
    known = await voiceprints.samples(
        session, profile_id, settings.min_clean_seconds, settings.max_profile_samples
    )
    return means(known)


async def refresh(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, settings: VoiceSettings
) -> None:
    """Store what the rows say now; nothing where there is no such profile.

    Hold `db.queries.speakers.serialise`: of two who do this the later one has the last word.
    """
    if await voiceprints.profile_exists(session, user_id, profile_id):
        await voiceprints.put_means(
            session, profile_id, await compute(session, profile_id, settings)
        )
