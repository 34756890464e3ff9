"""SIGKILL to every part of a running service: accepted work ends, once, and data stays."""

import subprocess
import time
import uuid
from pathlib import Path

import httpx
import pytest

from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def settled(stack: Stack):
    stack.await_ready()
    yield
    stack.await_ready()


def upload(stack: Stack, tmp_path: Path) -> tuple[httpx.Client, str, str]:
    """A new recording (other bytes each time); the client, file id and task id."""
    path = tmp_path / f"{uuid.uuid4().hex}.wav"
    command = ["ffmpeg", "-v", "error", "-i", str(sample()), "-metadata", f"title={path.stem}"]
    subprocess.run([*command, str(path)], check=True)
    client = stack.client()
    answer = client.post(
        "/api/files/upload", files={"file": (path.name, path.read_bytes(), "audio/wav")}
    )
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    return client, data["file"]["id"], data["task"]["id"]


def ended(stack: Stack, task_id: str, seconds: float = 300) -> dict:
    """The task when it is over, asked through whatever outage there is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with stack.client() as client:
                task = client.get(f"/api/tasks/{task_id}").json()["data"]
            if task["state"] in {"completed", "failed", "cancelled"}:
                return task
        except (httpx.HTTPError, KeyError, ValueError):
            pass
        time.sleep(0.5)
    raise AssertionError(f"task {task_id} did not end in {seconds:.0f} s")


@pytest.mark.parametrize(
    "part",
    [
        "ServeReplica:pipelines:Preparer",
        "ServeReplica:pipelines:Transcriber",
        "ServeReplica:pipelines:Runner",
        "ServeReplica:api:Api",
        "postgres -D",
        "weed",
        "gcs_server",
        "raylet/raylet",
    ],
)
def test_a_recording_survives_the_death_of(stack: Stack, tmp_path: Path, part: str):
    _, file_id, task_id = upload(stack, tmp_path)
    assert stack.kill(part) > 0
    task = ended(stack, task_id)
    assert (task["state"], task["error_message"]) == ("completed", None)
    stack.await_ready()
    with stack.client() as client:
        transcript = client.get(f"/api/files/{file_id}/transcript").json()["data"]
    assert transcript["segments"]


def test_data_survives_the_death_of_the_supervisor(stack: Stack, tmp_path: Path):
    _, file_id, task_id = upload(stack, tmp_path)
    assert ended(stack, task_id)["state"] == "completed"
    assert stack.kill("rayscribe up") > 0
    shown = stack.up()
    assert "password" not in shown
    with stack.client() as client:
        assert client.get(f"/api/files/{file_id}/transcript").status_code == 200
