"""A recording becomes a summary in a running service, and one that loses its model on the way."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.language.bluf import Bluf
from tests.e2e.test_command_line import recording
from tests.e2e.test_video import completed
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack

SUMMARIES = "/api/summarization"
MODEL = "ServeReplica:language:LanguageModel"
SECONDS = 180


def data(answer: httpx.Response) -> Any:
    """What was asked for."""
    assert answer.is_success, answer.text
    return answer.json()["data"]


def uploaded(client: httpx.Client, path: Path) -> str:
    """A recording's file, transcribed."""
    files = {"file": (path.name, path.read_bytes())}
    accepted = data(client.post("/api/files/upload", files=files))
    completed(client, accepted["task"]["id"])
    return str(accepted["file"]["id"])


def summarised(client: httpx.Client, file_id: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Wait until the newest summary that was asked for is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = data(client.get(f"{SUMMARIES}/{file_id}/status"))
        if state["summary_status"] == "completed":
            return dict(data(client.get(f"{SUMMARIES}/{file_id}")))
        assert state["summary_status"] in {"pending", "processing"}, state
        time.sleep(0.3)
    raise AssertionError(f"no summary after {seconds:.0f} s: {state}")


def test_a_recording_is_summarised_by_itself(stack: Stack, tmp_path: Path):
    with stack.client() as client:
        status = data(client.get("/api/llm-settings/status"))
        assert (status["available"], status["source"]) == (True, "local"), status
        file_id = uploaded(client, recording(tmp_path, "by_itself.wav", 48_000))
        summary = summarised(client, file_id)
        content = Bluf.model_validate(summary["content"])
        assert content.bluf
        assert not summary["is_stale"]
        assert (summary["provider"], summary["version"]) == ("local", 1)
        assert summary["prompt_tokens"] > 0
        duration = data(client.get(f"/api/files/{file_id}"))["duration"]
        for section in summary["sections"]:
            assert 0 <= section["start"] <= section["end"] <= duration + 1


def test_a_summary_outlives_the_model_that_was_making_it(stack: Stack, tmp_path: Path):
    with stack.client() as client:
        file_id = uploaded(client, recording(tmp_path, "outlives.wav", 32_000))
        summarised(client, file_id)
        body = {"force_regenerate": True, "language": "de"}
        task = data(client.post(f"{SUMMARIES}/{file_id}", json=body))
        assert stack.kill(MODEL)
        again = summarised(client, file_id)
        assert data(client.get(f"/api/tasks/{task['id']}"))["state"] == "completed"
        assert again["language"] == "de"
        assert data(client.get(f"{SUMMARIES}/{file_id}/status"))["llm_available"]
    # What follows needs it again.
    stack.await_health()
