"""Plain WhisperX, a plain per-file worker, and plain pyannote.audio with the same weights.

What we compare with: nothing is shared but the weights and, where words are timed, the aligner.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from serving import catalogue
from serving.arguments import SpeechArguments
from serving.engines import pyannote_model
from serving.engines.ctc_phoneme_alignment import CtcPhonemeAligner
from serving.errors import SpeechError
from serving.model_kinds import Role
from serving.speech import SAMPLE_RATE, AlignmentRequest
from tests.models.recordings import decoded

Line = Mapping[str, Any]
"""`start`, `end` and `text` of a stretch of at most 30 s, as both peers give them."""


@dataclass
class Reading:
    """What a peer makes of a file, and the seconds that each stage took."""

    text: str
    language: str
    turns: list[tuple[float, float, str]]
    seconds: dict[str, float] = field(default_factory=dict)


class Listener(Protocol):
    """The half of a peer that differs: speech to text."""

    def lines(self, path: Path) -> tuple[list[Line], str]:
        """Lines and language."""
        ...


class WhisperX:
    """`whisperx.load_model().transcribe()`."""

    def __init__(self, arguments: SpeechArguments, threads: int) -> None:
        import whisperx

        self._batch_size = arguments.batch_size
        self._whisper = whisperx.load_model(
            str(catalogue.resolve(arguments.whisper_model, Role.asr, Path(arguments.model_dir))),
            arguments.device,
            compute_type=arguments.compute_type,
            asr_options={"beam_size": arguments.beam_size},
            vad_method="pyannote",
            threads=threads,
        )

    def lines(self, path: Path) -> tuple[list[Line], str]:
        """Lines and language."""
        audio = decoded(path).astype("float32") / 32768
        result = self._whisper.transcribe(audio, batch_size=self._batch_size)
        return list(result["segments"]), str(result["language"])


class Worker:
    """faster-whisper's `BatchedInferencePipeline`, as OpenTranscribe 0.4 uses it."""

    def __init__(self, arguments: SpeechArguments, threads: int, workers: int) -> None:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        self._options = {"batch_size": arguments.batch_size, "beam_size": arguments.beam_size}
        model = WhisperModel(
            str(catalogue.resolve(arguments.whisper_model, Role.asr, Path(arguments.model_dir))),
            device=arguments.device,
            compute_type=arguments.compute_type,
            cpu_threads=threads,
            num_workers=workers,
        )
        self._whisper = BatchedInferencePipeline(model)

    def lines(self, path: Path) -> tuple[list[Line], str]:
        """Lines and language."""
        audio = decoded(path).astype("float32") / 32768
        segments, info = self._whisper.transcribe(audio, **self._options)
        found: list[Line] = [
            {"start": one.start, "end": one.end, "text": one.text} for one in segments
        ]
        return found, str(info.language)


class Peer:
    """WhisperX and plain pyannote, asked one after the other."""

    def __init__(self, arguments: SpeechArguments) -> None:
        self._whisper = WhisperX(arguments, arguments.threads)
        self._diarization = plain_pipeline(arguments)

    def transcribe(self, path: Path) -> tuple[str, str]:
        """Text and language."""
        lines, language = self._whisper.lines(path)
        return text_of(lines), language

    def diarize(self, path: Path) -> Any:
        """pyannote's annotation."""
        return diarized(self._diarization, path)


class WholeFile:
    """A file from its first stage to its last: text, word times, speakers, each word's speaker."""

    def __init__(self, whisper: Listener, diarization: Any, aligner: CtcPhonemeAligner) -> None:
        self._whisper = whisper
        self._diarization = diarization
        self._aligner = aligner

    def read(self, path: Path) -> Reading:
        """Work through a file, one stage after the other."""
        clock = [time.perf_counter()]

        def lap() -> float:
            clock.append(time.perf_counter())
            return clock[-1] - clock[-2]

        decoded(path)
        seconds = {"prepare": lap()}
        lines, language = self._whisper.lines(path)
        seconds["transcribe"] = lap()
        timed = self._timed(path, lines, language)
        seconds["align"] = lap()
        turns = turns_of(diarized(self._diarization, path))
        seconds["diarize"] = lap()
        attribute(turns, timed)
        seconds["attribute"] = lap()
        return Reading(text_of(lines), language, turns, seconds)

    def _timed(self, path: Path, lines: Sequence[Line], language: str) -> list[dict[str, Any]]:
        """The lines with times of their words, where the aligner knows the language."""
        if self._aligner.timing(language) is None:
            return [{**line, "words": []} for line in lines]
        audio, timed = decoded(path), []
        for line in lines:
            start, end = (round(line[key] * SAMPLE_RATE) for key in ("start", "end"))
            request = AlignmentRequest(audio[start:end], line["text"], language)
            (words,) = self._aligner.align([request])
            if isinstance(words, SpeechError):
                raise words
            at = start / SAMPLE_RATE
            told = [
                {"word": w.word, "start": w.start + at, "end": w.end + at, "score": w.probability}
                for w in words
            ]
            timed.append({**line, "words": told})
        return timed


def aligner() -> CtcPhonemeAligner:
    """Ours: WhisperX's own weights are on a hub."""
    engine = CtcPhonemeAligner()
    engine.load()
    return engine


def text_of(lines: Sequence[Line]) -> str:
    """The lines as one text."""
    return " ".join(line["text"].strip() for line in lines)


def turns_of(annotation: Any) -> list[tuple[float, float, str]]:
    """pyannote's annotation as turns."""
    return [(s.start, s.end, label) for s, _, label in annotation.itertracks(yield_label=True)]


def attribute(turns: Sequence[tuple[float, float, str]], lines: list[dict[str, Any]]) -> None:
    """WhisperX's own way to give words their speakers."""
    import pandas as pd  # type: ignore[import-untyped]
    import whisperx

    table = pd.DataFrame(turns, columns=["start", "end", "speaker"])
    if len(table):
        whisperx.assign_word_speakers(table, {"segments": lines})


def diarized(pipeline: Any, path: Path) -> Any:
    """pyannote's annotation of a file."""
    import torch

    audio = torch.from_numpy(decoded(path).astype(np.float32) / 32768)[None]
    output = pipeline({"waveform": audio, "sample_rate": SAMPLE_RATE, "uri": path.stem})
    return getattr(output, "speaker_diarization", output)


def plain_pipeline(arguments: SpeechArguments, threads: int | None = None) -> Any:
    """pyannote.audio's own pipeline over the same files; torch's own number of threads, or ours."""
    pyannote_model.quiet()
    import torch
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    folder = Path(arguments.model_dir)
    model = catalogue.diarization(arguments.diarization_model)
    pipeline = SpeakerDiarization(
        segmentation=pyannote_model.load(
            catalogue.resolve(model.segmentation, Role.segmentation, folder),
            arguments.device,
            threads or arguments.threads,
        ),
        embedding=str(catalogue.resolve(model.embedding, Role.speaker_embedding, folder)),
        clustering="AgglomerativeClustering",
        embedding_exclude_overlap=True,
        # Agglomerative clustering never asks it, but the pipeline's default is on a hub.
        plda=PLDA.__new__(PLDA),
    )
    pipeline.to(torch.device(arguments.device))
    return pipeline.instantiate(
        {
            "clustering": {
                "method": model.method,
                "min_cluster_size": model.min_cluster_size,
                "threshold": model.threshold,
            },
            "segmentation": {"min_duration_off": 0.0},
        }
    )
