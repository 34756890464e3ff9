"""Replicas in this process: warm before they are ready, batches over callers, lanes, failures."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cluster.resources import Role, deployment_options
from cluster.settings import Settings
from serving import assembly
from serving.arguments import SpeechArguments, speech_arguments
from serving.deployments.speaker_segmenter import SpeakerSegmenter
from serving.deployments.transcriber import Transcriber, window_traits
from serving.engines import fake
from serving.errors import EngineFailed, LanguageUnsupported
from serving.inprocess import InProcessSpeakerSegmenter, InProcessTranscriber
from serving.speech import BULK, LIVE, SAMPLE_RATE, Pcm, WindowRequest, WindowText

BATCH = 4


@pytest.fixture(scope="module")
def arguments() -> SpeechArguments:
    settings = Settings()
    settings.speech = settings.speech.model_copy(update={"engines": "fake"})
    return replace(speech_arguments(settings, 0), batch_size=BATCH, batch_wait_seconds=0.02)


def window(number: int, lane: str = LIVE, seconds: float = 2.0, **more: Any) -> WindowRequest:
    audio = np.full(round(seconds * SAMPLE_RATE), number, dtype=np.int16)
    return WindowRequest(audio, more.pop("language", "en"), lane=lane, **more)


class Journal(fake.FakeTranscriber):
    """Writes down which windows came together; can be held back, and breaks on one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.batches: list[list[int]] = []
        self.begun, self.may_go = threading.Event(), threading.Event()
        self.may_go.set()

    def load(self) -> None:
        self.calls.append("load")

    def warm_up(self) -> None:
        self.calls.append("warm_up")

    def transcribe(self, requests: Sequence[WindowRequest]) -> list[Any]:
        self.batches.append([int(request.audio[0]) for request in requests])
        self.begun.set()
        assert self.may_go.wait(10)
        if any(request.audio[0] == 13 for request in requests):
            raise MemoryError("the engine breaks on 13")
        return super().transcribe(requests)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    made = Journal()
    monkeypatch.setitem(assembly.BUILDERS, "transcriber", lambda _: made)
    return made


def test_a_replica_is_warm_when_it_is_ready(arguments, journal):
    Transcriber(replace(arguments, warm_up=True))
    assert journal.calls == ["load", "warm_up"]
    Transcriber(replace(arguments, warm_up=False))
    assert journal.calls == ["load", "warm_up", "load"]


def test_only_real_models_are_warmed():
    settings = Settings()
    settings.speech = settings.speech.model_copy(update={"engines": "fake", "warm_up": True})
    assert not speech_arguments(settings, 0).warm_up


def test_a_replica_that_is_to_go_may_end_its_longest_batch():
    settings = Settings()
    for role in ("transcriber", "aligner", "speaker_segmenter", "text_embedder"):
        options = deployment_options(Role(role), settings, 0)
        assert options["graceful_shutdown_timeout_s"] > settings.speech.stuck_batch_seconds


async def test_callers_share_batches(arguments, journal):
    port = InProcessTranscriber(Transcriber(arguments))
    answers = await asyncio.gather(*(port.transcribe([window(n)]) for n in range(10)))
    assert all(isinstance(answer, WindowText) for [answer] in answers)
    assert [len(batch) for batch in journal.batches] == [4, 4, 2]


async def test_who_waits_goes_first_in_the_next_batch(arguments, journal):
    """As on a CPU, where each window takes its own time: places that live leaves stay empty."""
    journal.may_go.clear()
    port = InProcessTranscriber(Transcriber(replace(arguments, shared_places=1)))
    bulk = asyncio.create_task(port.transcribe([window(n, BULK) for n in range(12)]))
    assert await asyncio.to_thread(journal.begun.wait, 10)
    live = asyncio.create_task(port.transcribe([window(100, LIVE)]))
    await asyncio.sleep(0.01)
    journal.may_go.set()
    await asyncio.gather(bulk, live)
    assert journal.batches == [[0, 1, 2, 3], [100], [4, 5, 6, 7], [8, 9, 10, 11]]


async def test_where_places_are_shared_bulk_fills_them(arguments, journal):
    journal.may_go.clear()
    port = InProcessTranscriber(Transcriber(replace(arguments, shared_places=BATCH)))
    bulk = asyncio.create_task(port.transcribe([window(n, BULK) for n in range(8)]))
    assert await asyncio.to_thread(journal.begun.wait, 10)
    live = asyncio.create_task(port.transcribe([window(100, LIVE)]))
    await asyncio.sleep(0.01)
    journal.may_go.set()
    await asyncio.gather(bulk, live)
    assert journal.batches == [[0, 1, 2, 3], [100, 4, 5, 6], [7]]


async def test_windows_of_a_batch_are_about_as_long_as_each_other(arguments, journal):
    """Those that an engine would decode apart are not waited for by each other."""
    port = InProcessTranscriber(Transcriber(arguments))
    lengths = [28.0, 5.0, 27.0, 6.0, 26.0, 7.0, 25.0, 4.0]
    await port.transcribe([window(n, seconds=seconds) for n, seconds in enumerate(lengths)])
    assert sorted(map(sorted, journal.batches)) == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_windows_with_little_speech_are_another_length():
    full, sparse = (window(1, seconds=28.0, speech_seconds=speech) for speech in (27.0, 6.0))
    unknown = window(1, seconds=28.0)
    assert (
        window_traits(full).length == window_traits(unknown).length > window_traits(sparse).length
    )
    assert window_traits(full).group == window_traits(sparse).group
    timed = window(1, seconds=28.0, word_times=True)
    assert window_traits(timed).group != window_traits(full).group


async def test_one_that_breaks_the_engine_is_a_verdict_on_it_alone(arguments, journal):
    port = InProcessTranscriber(Transcriber(arguments))
    wrong = window(5, language="xx")
    first, broken, unknown = await port.transcribe([window(1), window(13), wrong])
    assert isinstance(first, WindowText)
    assert isinstance(broken, EngineFailed)
    assert "13" not in broken.message
    assert isinstance(unknown, LanguageUnsupported)


class Spans(fake.FakeSpeakerSegmenter):
    """Writes down how long the spans of each batch were."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def segment(self, spans: Sequence[Pcm]) -> list[Any]:
        self.batches.append([len(span) // SAMPLE_RATE for span in spans])
        return super().segment(spans)


async def test_short_recordings_share_a_batch_and_whole_spans_do_not(arguments, monkeypatch):
    engine = Spans()
    monkeypatch.setitem(assembly.BUILDERS, "speaker_segmenter", lambda _: engine)
    port = InProcessSpeakerSegmenter(SpeakerSegmenter(arguments))
    lengths = [309, 309, *[20] * 10]
    spans = [np.zeros(seconds * SAMPLE_RATE, dtype=np.int16) for seconds in lengths]
    await port.segment(spans, BULK)
    assert engine.batches == [[309], [309], [20] * 10]


async def test_what_it_tells_of_itself(arguments, journal):
    replica = Transcriber(arguments)
    port = InProcessTranscriber(replica)
    await port.transcribe([window(n, BULK, 10.0) for n in range(6)])
    stats = await replica.stats()
    assert (stats["role"], stats["model"]) == ("transcriber", "fake")
    told = stats["transcribe"]
    assert (told["batches"], told["items"], told["audio_seconds"]) == (2, 6, 60.0)
    assert told["fill"] == 6 / 8
    assert told["padding_waste"] == 0.0
    assert told["waits"][BULK]["items"] == 6
    assert told["waiting"] == {LIVE: 0, "interactive": 0, BULK: 0}


async def test_a_short_recording_that_somebody_waits_for_has_no_whole_span_of_others_beside_it(
    arguments, monkeypatch
):
    engine = Spans()
    monkeypatch.setitem(assembly.BUILDERS, "speaker_segmenter", lambda _: engine)
    port = InProcessSpeakerSegmenter(SpeakerSegmenter(arguments))
    short, long = (np.zeros(seconds * SAMPLE_RATE, dtype=np.int16) for seconds in (20, 250))
    await asyncio.gather(port.segment([long, short], BULK), port.segment([short], LIVE))
    assert engine.batches == [[20, 20], [250]]
