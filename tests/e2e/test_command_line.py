"""`rayscribe transcribe` and its sisters against a running service."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack


def recording(folder: Path, name: str, rate: int) -> Path:
    """The sample under another name and with other bytes, so that it is no duplicate."""
    target = folder / name
    command = ["ffmpeg", "-v", "error", "-i", str(sample()), "-ar", str(rate), str(target)]
    subprocess.run(command, check=True)
    return target


def test_a_file_is_transcribed_and_found_again(stack: Stack, tmp_path: Path):
    path = recording(tmp_path, "first.wav", 22_050)
    first = stack.command("transcribe", str(path))
    assert "SPEAKER_00:" in first.stdout
    again = stack.command("transcribe", str(path))
    assert again.stdout == first.stdout


TIME = r"\d+\.\d{3}"
CUE = r"00:00:\d\d{0}\d{{3}} --> 00:00:\d\d{0}\d{{3}}\n"
EVERY_LINE = {
    "txt": r"\[00:00:\d\d\] SPEAKER_0\d: \w.*",
    "rttm": rf"SPEAKER \S+ 1 {TIME} {TIME} <NA> <NA> SPEAKER_0\d <NA> <NA>",
    "ctm": rf"\S+ 1 {TIME} {TIME} \w+\S? [01]\.\d{{3}}",
}
BEGINNING = {
    "srt": "1\n" + CUE.format(","),
    "vtt": "WEBVTT\n\n" + CUE.format(r"\."),
    "json": r"\{",
}


@pytest.mark.parametrize("form", [*EVERY_LINE, *BEGINNING])
def test_every_format_is_written(stack: Stack, tmp_path: Path, form: str):
    path = tmp_path / "call.wav"
    shutil.copy(sample(), path)
    stack.command("transcribe", str(path), "--format", form, "--output", str(tmp_path / "out"))
    text = (tmp_path / "out" / f"call.{form}").read_text()
    if form in BEGINNING:
        assert re.match(BEGINNING[form], text), text
    else:
        assert text
        wrong = [line for line in text.splitlines() if not re.fullmatch(EVERY_LINE[form], line)]
        assert wrong == []
    if form == "json":
        assert json.loads(text)["segments"]


def test_what_is_no_media_fails_alone_and_says_why(stack: Stack, tmp_path: Path):
    bad = tmp_path / "notes.mp3"
    bad.write_text("this is a text")
    good = recording(tmp_path, "good.wav", 24_000)
    done = stack.command("transcribe", str(bad), str(good), check=False)
    assert done.returncode == 1
    assert "notes.mp3" in done.stderr
    assert "text" in done.stderr
    assert "SPEAKER_00:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.wav"], "nowhere.wav: no such file"),
        (["--min-speakers", "5", "--max-speakers", "2", __file__], "--min-speakers 5 exceeds"),
        (["--format", "doc", __file__], "doc"),
        ([], "files"),
    ],
)
def test_wrong_words_are_refused(stack: Stack, arguments: list[str], says: str):
    done = stack.command("transcribe", *arguments, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_what_the_service_refuses_is_no_wrong_use(stack: Stack):
    done = stack.command("transcribe", str(sample()), "--language", "klingon", check=False)
    assert done.returncode == 1
    assert "klingon" in done.stderr
    assert done.stdout == ""


def test_nobody_there_is_one_line(stack: Stack):
    done = stack.command("transcribe", str(sample()), "--url", "http://127.0.0.1:9", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_second_up_on_the_same_directory_says_what_to_do(stack: Stack):
    done = stack.command("up", check=False)
    assert done.returncode == 1
    assert "rayscribe down" in done.stderr


def test_status_inspect_and_accounts(stack: Stack):
    assert "Transcriber" in stack.command("status").stdout
    assert "media_file" in stack.command("inspect").stdout
    assert "(as it was)" in stack.command("migrate").stdout
    email = "someone@example.org"
    assert "password" in stack.command("create-user", email).stdout
    again = stack.command("create-user", email, check=False)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    short = stack.command("create-user", "a@example.org", "--password", "x", check=False)
    assert short.returncode == 2
