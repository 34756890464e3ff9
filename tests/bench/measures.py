"""What each measure for speed brought: with and without it, in one run, on the same recording.

`python -m tests.bench measures [MINUTES]`: CPU seconds and wall seconds of the engines alone, no
service around them. A quiet machine is needed for the wall seconds.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from serving.audio import chunk_count, heard_runs, spans
from serving.engines.ctc_phoneme_alignment import CtcPhonemeAligner, CtcPhonemeOptions
from serving.engines.speaker_embedding import FRAME_SAMPLES, HOP_SAMPLES, PCM_SCALE
from serving.engines.whisper import WhisperEngine, WhisperOptions
from serving.engines.whisper_encoder import WHOLE_AXIS, AxisOptions
from serving.speech import SAMPLE_RATE, AlignmentRequest, Pcm, WindowRequest, WindowText
from tests.bench.corpus import Strung, string
from tests.bench.tables import table
from tests.models.recordings import voice_activity, whisper_folder, windows_of
from tests.models.test_diarization import load_engines

MINUTES = 3.0
STEP = 2.5
TOGETHER = 8
BATCH = 4
QUIET_SHARE = 0.4
"""Of a recording whose silence is left out: as in a meeting's break, or a call on hold."""


class Timed(NamedTuple):
    """One way to do it."""

    cpu_seconds: float
    seconds: float
    result: Any


def timed(work: Callable[[], Any]) -> Timed:
    """Run it, and measure."""
    cpu, started = time.process_time(), time.perf_counter()
    result = work()
    return Timed(time.process_time() - cpu, time.perf_counter() - started, result)


def main(arguments: list[str]) -> None:
    """Print the table."""
    minutes = float(arguments[0]) if arguments else MINUTES
    recording = string("measured", 60 * minutes, random.Random(1))
    rows = []
    for name, without, measured in measures(recording):
        rows.append(
            (
                name,
                f"{without.cpu_seconds:.1f}",
                f"{measured.cpu_seconds:.1f}",
                f"{without.seconds:.1f}",
                f"{measured.seconds:.1f}",
                f"{without.seconds / measured.seconds:.2f}",
            )
        )
        print(rows[-1], flush=True)
    header = "measure|CPU s without|with|wall s without|with|times as fast"
    print(table(header.split("|"), rows))


def measures(recording: Strung) -> Iterator[tuple[str, Timed, Timed]]:
    """Each measure without, and with it."""
    audio = recording.audio
    # Loaded once, before anything is timed.
    for step in (1.0, STEP):
        load_engines(step)
    voice_activity()
    every, fewer = (timed(partial(diarized, audio, step)) for step in (1.0, STEP))
    yield f"diarization: a chunk every {STEP} s, not every second", every, fewer
    yield (
        "of that, filter bank: each frame once, not once for each chunk",
        timed(partial(features, audio, STEP, whole=False)),
        timed(partial(features, audio, STEP, whole=True)),
    )
    half = quiet(audio)
    yield (
        f"diarization: {QUIET_SHARE:.0%} silence is not heard",
        timed(partial(diarized, half, STEP)),
        timed(partial(diarized, half, STEP, skip=True)),
    )
    folder = whisper_folder("base")
    requests = list(windows_of(audio, "en"))
    short = [
        replace(one, audio=one.audio[: 10 * SAMPLE_RATE], speech_seconds=None) for one in requests
    ]
    apart = engine(folder, threads=2)
    yield (
        "Whisper: a batch in two parts, a thread each, not one with two",
        timed(partial(transcribed, together(folder, threads=2), requests)),
        timed(partial(transcribed, apart, requests)),
    )
    yield (
        "Whisper: of a window of 10 s, 20 s are heard, not 30",
        timed(partial(transcribed, engine(folder, threads=2, axis=WHOLE_AXIS), short)),
        timed(partial(transcribed, apart, short)),
    )
    yield (
        "Whisper: windows are encoded one by one, not eight together",
        timed(partial(encoded, apart, short, TOGETHER)),
        timed(partial(encoded, apart, short, 1)),
    )
    yield (
        "Whisper: what was encoded for the language is not encoded again",
        timed(partial(asked, engine(folder, threads=2, kept=0), requests)),
        timed(partial(asked, apart, requests)),
    )
    texts = [
        AlignmentRequest(request.audio, text.text, "en")
        for request, text in zip(requests, transcribed(apart, requests), strict=True)
    ]
    one, two = aligner(1), aligner(2)
    # Pronunciations are looked for once in a replica's life.
    one.align(texts)
    two.align(texts)
    hama = with_hamas_engine()
    hama.align(texts)
    yield (
        "word times: the model's sums through BLAS, not hama's engine",
        timed(partial(hama.align, texts)),
        timed(partial(one.align, texts)),
    )
    yield (
        "word times: pieces of 10 s in two threads",
        timed(partial(one.align, texts)),
        timed(partial(two.align, texts)),
    )


def diarized(audio: Pcm, step: float, *, skip: bool = False) -> None:
    """Segmentation and embedding of a recording."""
    engines = load_engines(step)
    places = list(spans(len(audio), step))
    if skip:
        speech = voice_activity().detect(audio)
        places = [run.samples(len(audio), step) for run in heard_runs(len(audio), speech, step)]
    engines.describe([audio[start:end] for start, end in places])


def quiet(audio: Pcm) -> Pcm:
    """The same with its last part silenced."""
    silenced = audio.copy()
    silenced[round((1 - QUIET_SHARE) * len(audio)) :] = 0
    return silenced


def features(audio: Pcm, step: float, *, whole: bool) -> None:
    """Filter bank features of all chunks."""
    network = load_engines(step).embedding._network
    samples = audio.astype("float32") / PCM_SCALE
    if whole:
        network.hear(samples)
        return
    hop, length = round(step * SAMPLE_RATE), 10 * SAMPLE_RATE
    for chunk in range(chunk_count(len(samples), step_seconds=step)):
        start = chunk * hop
        network.hear(samples[start : start + length + FRAME_SAMPLES - HOP_SAMPLES])


def engine(
    folder: Path, threads: int, kept: int = 32, axis: AxisOptions | None = None
) -> WhisperEngine:
    """As the product has it."""
    made = WhisperEngine(
        WhisperOptions(
            str(folder),
            threads=threads,
            batch_size=BATCH,
            kept_encodings=kept,
            axis=axis or AxisOptions(),
        )
    )
    made.load()
    made.warm_up()
    return made


def together(folder: Path, threads: int) -> WhisperEngine:
    """As it was: one part, whose threads share each step."""
    from faster_whisper import WhisperModel

    made = WhisperEngine(WhisperOptions(str(folder), threads=1, batch_size=BATCH))
    made.load()
    made._model = made._encoder._model = WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=threads, num_workers=1
    )
    made.warm_up()
    return made


def transcribed(whisper: WhisperEngine, requests: list[WindowRequest]) -> list[WindowText]:
    """Batch by batch, as replicas do."""
    texts: list[WindowText] = []
    for start in range(0, len(requests), BATCH):
        answers = whisper.transcribe(requests[start : start + BATCH])
        texts += [answer for answer in answers if isinstance(answer, WindowText)]
    assert len(texts) == len(requests)
    return texts


def encoded(whisper: WhisperEngine, requests: list[WindowRequest], size: int) -> None:
    """What the encoder makes of so many windows at a time."""
    encoder = whisper._encoder
    features = [encoder.features(request.audio) for request in requests]
    for start in range(0, len(features), size):
        whisper._model.encode(np.stack(features[start : start + size]))


def asked(whisper: WhisperEngine, requests: list[WindowRequest]) -> None:
    """The first four windows: their language, then their text."""
    some = requests[:BATCH]
    whisper.detect_language([request.audio for request in some])
    transcribed(whisper, some)


def with_hamas_engine() -> CtcPhonemeAligner:
    """The aligner as it was."""
    from hama import ASRModel

    made, session = aligner(1), ASRModel().session

    def hear(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        heard: npt.NDArray[np.float32] = session.run(["log_probs"], {"waveform": waveform})[0][0]
        return heard

    made._acoustics = hear  # type: ignore[assignment]
    return made


def aligner(threads: int) -> CtcPhonemeAligner:
    """Loaded."""
    made = CtcPhonemeAligner(CtcPhonemeOptions(threads=threads))
    made.load()
    return made
