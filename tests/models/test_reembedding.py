"""Voices embedded from known turns are those of the diarizer; one person's clip is one person's."""

import asyncio
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest

from pipelines.errors import TaskFailed
from pipelines.pace import Pace
from pipelines.speakers.enrol import NothingKept, only_voice
from pipelines.stages.base import Context, Models, Options, Recording
from pipelines.stages.embed import Embed
from serving.ports import Ports
from serving.speech import SAMPLE_RATE, Diarization, MediaProbe, MediaSource, Pcm, Preparation
from tests.fixtures import speech
from tests.models.recordings import decoded
from tests.models.test_diarization import katiesteve, load_engines, telephone

pytestmark = pytest.mark.models

MIN_COSINE = 0.9
"""Measured: 0.988 and 0.977 (katiesteve), 0.986 and 0.993 (telephone)."""


class Audio:
    """Decoded audio that is at hand."""

    def __init__(self, samples: Pcm) -> None:
        self._samples = samples

    async def write(self, index: int, block: Pcm) -> None:
        raise AssertionError

    async def complete(self, seconds: float) -> bool:
        return True

    async def read(self, start: float, end: float) -> Pcm:
        return self._samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


class Embedder:
    """The port over an engine."""

    def __init__(self, engine) -> None:
        self._engine = engine

    async def embed(self, spans, lane):
        return self._engine.embed(spans)


@asynccontextmanager
async def no_limit(stage: str):
    yield


def embedded(samples: Pcm, known: Diarization) -> Diarization:
    """What the stage makes of turns alone."""
    engines = load_engines()
    # Of all ports only the embedder is asked.
    port: Any = Embedder(engines.embedding)
    context = Context(
        Ports(*[port] * 7),
        Models("", "", "", 1, "campplus"),
        Audio(samples),
        NothingKept(),
        lambda *_: None,
        Pace(600, 10),
        no_limit,
    )
    preparation = Preparation(
        len(samples) / SAMPLE_RATE, (), (), MediaProbe("", None, False, "", 0, 0), {}, None
    )
    turns = Diarization(known.turns, ())
    recording = Recording("", MediaSource("", 0), Options(), preparation, diarization=turns)
    return asyncio.run(Embed().run(recording, context))["diarization"]


@cache
def diarized(which: str) -> tuple[Pcm, Diarization]:
    samples, _ = {"katiesteve": katiesteve, "telephone": telephone}[which]()
    return samples, load_engines().diarize(samples)


@pytest.mark.parametrize("which", ["katiesteve", "telephone"])
def test_known_turns_give_the_diarizers_voiceprints(which):
    samples, known = diarized(which)
    found = embedded(samples, known)
    assert found.embeddings.keys() == known.embeddings.keys()
    assert len(found.embeddings) == 2
    for label, voiceprint in found.embeddings.items():
        same = float(np.dot(voiceprint, known.embeddings[label]))
        others = [
            float(np.dot(voiceprint, other))
            for name, other in known.embeddings.items()
            if name != label
        ]
        assert same >= MIN_COSINE
        assert max(others) < same - 0.3
        assert found.clean_seconds[label] == pytest.approx(known.clean_seconds[label], abs=0.01)


ALONE = [
    "enrollment_audio_katie.wav",
    "enrollment_audio_steve.wav",
    "jfk.flac",
    "2412-153948-0000.flac",
    "libri-1088-134315-0000.wav",
]


@pytest.mark.parametrize("name", ALONE)
def test_a_clip_of_one_person_is_an_enrolment(name: str):
    found = load_engines().diarize(decoded(speech.shared(f"audio/{name}")))
    voice = only_voice(found, 3)
    assert voice.clean_seconds >= 3


def test_a_dialogue_is_none():
    _, known = diarized("katiesteve")
    with pytest.raises(TaskFailed, match="Several people speak in this clip"):
        only_voice(known, 5)


def test_two_halves_of_a_clip_are_one_person_and_two_clips_are_two():
    """Measured: 0.83 and 0.84 between the halves, at most 0.09 between people."""
    clips = [
        decoded(speech.shared(f"audio/enrollment_audio_{who}.wav")) for who in ("katie", "steve")
    ]
    halves = [half for clip in clips for half in np.array_split(clip, 2)]
    found = [only_voice(load_engines().diarize(half), 3).embedding for half in halves]
    cosines = np.array(found) @ np.array(found).T
    assert min(cosines[0, 1], cosines[2, 3]) > 0.6
    assert cosines[:2, 2:].max() < 0.3
