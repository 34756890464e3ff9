"""The default models behind the public API: words, their times, and speakers of real recordings."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stack import Stack
from tests.models.recordings import Recording, librivox, shared, telephone
from tests.models.test_diarization import error_rate
from tests.models.test_whisper import SLACK, wer

pytestmark = [pytest.mark.stack, pytest.mark.models]


def exported(stack: Stack, recording: Recording, folder: Path, form: str) -> Path:
    """The file that the command line writes; another form of it needs no second run."""
    arguments = [str(recording.path), "--format", form, "--output", str(folder)]
    stack.command("transcribe", *arguments, seconds=540)
    return folder / f"{recording.path.stem}.{form}"


def transcribed(stack: Stack, recording: Recording, folder: Path) -> dict[str, Any]:
    return json.loads(exported(stack, recording, folder, "json").read_text())


def text_of(transcript: dict[str, Any]) -> str:
    return " ".join(segment["text"] for segment in transcript["segments"])


def words_of(transcript: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for segment in transcript["segments"]:
        yield from segment["words"]


def test_a_telephone_call(real_stack: Stack, tmp_path: Path):
    from pyannote.database.util import load_rttm

    call = telephone()
    transcript = transcribed(real_stack, call, tmp_path)
    assert transcript["language"] == "en"
    # Measured: 17.3 %; the reference writes down what both say at once.
    assert wer(call.text, text_of(transcript)) <= 0.173 + SLACK
    assert list(transcript["speakers"]) == ["SPEAKER_00", "SPEAKER_01"]
    [found] = load_rttm(str(exported(real_stack, call, tmp_path, "rttm"))).values()
    # Measured: 5.2 %.
    assert error_rate(call.path.with_suffix(".rttm"), call.audio, found, 0.0) <= 0.1


@pytest.mark.parametrize(
    ("find", "language", "word_timing", "measured"),
    [
        (lambda: librivox()[0], "en", "ctc_phoneme", 0.0),
        (lambda: shared("es-mx.wav"), "es", "whisper", 0.0),
    ],
    ids=["librivox", "spanish"],
)
def test_a_reader(real_stack: Stack, tmp_path: Path, find, language, word_timing, measured):
    recording = find()
    transcript = transcribed(real_stack, recording, tmp_path)
    assert (transcript["language"], transcript["word_timing"]) == (language, word_timing)
    assert wer(recording.text, text_of(transcript)) <= measured + SLACK


@pytest.mark.parametrize(
    "find", [telephone, lambda: shared("es-mx.wav")], ids=["aligned", "by-whisper"]
)
def test_every_word_has_its_time(real_stack: Stack, tmp_path: Path, find):
    recording = find()
    transcript = transcribed(real_stack, recording, tmp_path)
    words = list(words_of(transcript))
    assert [word["word"] for word in words] == text_of(transcript).split()
    assert all(0 <= word["start"] <= word["end"] <= transcript["duration"] for word in words)
    assert all(first["start"] <= second["start"] for first, second in pairwise(words))
