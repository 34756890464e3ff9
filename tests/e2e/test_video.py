"""A video with subtitles, made by the Preparer of a running service."""

import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack


def talk(target: Path) -> Path:
    """Speech with a picture."""
    picture = ("-f", "lavfi", "-i", "color=c=blue:s=64x48:r=5")
    return ffmpeg(target, *picture, "-i", str(sample()), "-shortest", "-c:v", "mpeg4", "-t", "20")


def completed(client: httpx.Client, task_id: str) -> None:
    """Wait for a task's end."""
    while (task := client.get(f"/api/tasks/{task_id}").json()["data"])["state"] != "completed":
        assert task["state"] in {"queued", "running"}, task
        time.sleep(0.2)


def streams(path: Path) -> list[str]:
    """What kinds of streams a file has."""
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    shown = subprocess.run(command, capture_output=True, check=True)
    return [stream["codec_type"] for stream in json.loads(shown.stdout)["streams"]]


def test_a_player_gets_the_video_with_subtitles_by_a_signed_address(stack: Stack, tmp_path: Path):
    with stack.client() as client:
        source = talk(tmp_path / "talk.mp4")
        files = {"file": ("talk.mp4", source.read_bytes())}
        accepted = client.post("/api/files/upload", files=files).raise_for_status().json()["data"]
        completed(client, accepted["task"]["id"])
        path = f"/api/files/streaming/{accepted['file']['id']}"
        signed = client.post(f"{path}/url", json={"kind": "subtitled"}).raise_for_status()
    # Without the client's token: that is what the address is for.
    answer = httpx.get(f"{stack.url}{signed.json()['data']['url']}", timeout=120)
    assert answer.status_code == 200, answer.text
    made = tmp_path / "subtitled.mp4"
    made.write_bytes(answer.content)
    assert streams(source) == ["video", "audio"]
    assert streams(made) == ["video", "audio", "subtitle"]
    seek = httpx.get(
        f"{stack.url}{signed.json()['data']['url']}", headers={"Range": "bytes=100-199"}
    )
    assert (seek.status_code, seek.content) == (206, answer.content[100:200])
