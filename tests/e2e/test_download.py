"""A recording from an address, fetched by the runner of a running service."""

import functools
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fixtures.media import tone
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """A web site with a recording, at the one port that the service may reach."""
    tone(tmp_path / "talk.mp3", 3)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", stack.remote_port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{stack.remote_port}"
        server.shutdown()


def test_a_recording_comes_from_an_address(stack: Stack, site: str):
    with stack.client() as client:
        asked = client.post("/api/files/url-processing", json={"url": f"{site}/talk.mp3"})
        assert asked.status_code == 202, asked.text
        task_id = asked.json()["data"]["id"]
        while True:
            task = client.get(f"/api/tasks/{task_id}").json()["data"]
            if task["state"] not in {"queued", "running"}:
                break
            time.sleep(0.5)
        assert task["state"] == "completed", task
        file = client.get(f"/api/files/{task['media_file_id']}").json()["data"]
        assert file["source_url"] == f"{site}/talk.mp3"
        [transcription] = [
            one
            for one in client.get("/api/tasks", params={"file_id": file["id"]}).json()["data"][
                "items"
            ]
            if one["kind"] == "transcription"
        ]
        assert transcription["state"] in {"queued", "running", "completed"}


def test_the_services_own_ports_are_not_fetched(stack: Stack):
    with stack.client() as client:
        answer = client.post("/api/files/url-processing", json={"url": f"{stack.url}/metrics"})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "url_refused")
