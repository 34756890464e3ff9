"""Real recordings and real engines for the models suite; what is not at hand skips its test."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.windows import cut_windows
from serving import catalogue
from serving.engines.voice_activity import VoiceActivityDetector
from serving.engines.whisper import WhisperEngine, WhisperOptions
from serving.errors import ModelUnavailable
from serving.model_kinds import Role
from serving.speech import SAMPLE_RATE, Pcm, WindowRequest
from tests.fixtures import speech
from tests.fixtures.speech import LIBRIVOX_DIR


@dataclass(frozen=True)
class Recording:
    """A file with what was said in it; `text` is None where nobody wrote it down."""

    name: str
    path: Path
    language: str | None
    text: str | None

    @property
    def audio(self) -> Pcm:
        return decoded(self.path)


@cache
def decoded(path: Path) -> Pcm:
    """16 kHz mono int16, by ffmpeg."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path)]
    command += ["-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "s16le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.int16)


def shared_recordings() -> list[Recording]:
    """The project's recordings, with their published texts."""
    folder = speech.shared("manifest.json").parent
    entries = json.loads((folder / "manifest.json").read_text())
    return [_recording(folder, entry) for entry in entries]


def shared(name: str) -> Recording:
    """One of the project's recordings, by file name."""
    return next(item for item in shared_recordings() if item.name == name)


def _recording(folder: Path, entry: dict[str, Any]) -> Recording:
    text = entry["reference"]
    if text and text.endswith(".json"):
        text = json.loads((folder / text).read_text())["text"]
    path = folder / entry["file"]
    return Recording(path.name, path, entry["language"], text)


def librivox() -> list[Recording]:
    """Five clips of Sense and Sensibility with transcripts (Debian's pocketsphinx-testdata)."""
    if not LIBRIVOX_DIR.is_dir():
        pytest.skip(f"no recordings at {LIBRIVOX_DIR} (Debian's pocketsphinx-testdata)")
    lines = (LIBRIVOX_DIR / "transcription").read_text().splitlines()
    found = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip()) for line in lines]
    return [Recording(m[2], LIBRIVOX_DIR / f"{m[2]}.wav", "en", m[1]) for m in found if m]


def telephone() -> Recording:
    """pyannote.audio's own sample: a telephone call of two people, 30 s."""
    path = speech.sample()
    lines = path.with_suffix(".stm").read_text().splitlines()
    text = " ".join(line.split(maxsplit=5)[5] for line in lines)
    return Recording("sample.wav", path, "en", text)


def whisper_folder(name: str) -> Path:
    """Where `make models` puts weights."""
    models = Path(os.environ.get("MODEL_CACHE_DIR", speech.ROOT / "models"))
    try:
        return catalogue.resolve(name, Role.asr, models)
    except ModelUnavailable as error:
        pytest.skip(str(error))


@cache
def whisper(name: str, beam_size: int = 5, batch_size: int = 8) -> WhisperEngine:
    """A loaded engine, shared by the tests of one run."""
    options = WhisperOptions(str(whisper_folder(name)), beam_size=beam_size, batch_size=batch_size)
    engine = WhisperEngine(options)
    engine.load()
    return engine


@cache
def voice_activity() -> VoiceActivityDetector:
    """The loaded detector with default options."""
    engine = VoiceActivityDetector()
    engine.load()
    return engine


def windows_of(
    audio: Pcm, language: str, task: str = "transcribe", *, word_times: bool = False
) -> Iterator[WindowRequest]:
    """A recording as the pipeline cuts it."""
    for window in cut_windows(voice_activity().detect(audio)):
        piece = audio[round(window.start * SAMPLE_RATE) : round(window.end * SAMPLE_RATE)]
        yield WindowRequest(piece, language, task, word_times, window.speech_seconds)
