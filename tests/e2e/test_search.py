"""A recording is found in a running service, by what is said, and is gone when it is deleted."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_command_line import recording
from tests.e2e.test_summaries import data, uploaded
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack

SECONDS = 120


def until(read: Callable[[], Any], wanted: Callable[[Any], object]) -> Any:
    """What is read, as soon as it is as wanted."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = read()
        if wanted(found):
            return found
        time.sleep(0.3)
    raise AssertionError(f"not so after {SECONDS} s: {found}")


def search(client: httpx.Client, q: str, **more: Any) -> dict[str, Any]:
    return dict(data(client.get("/api/search", params={"q": q, **more})))


def found_in(answer: dict[str, Any], file_id: str) -> list[dict[str, Any]]:
    """What an answer has of a file."""
    return [one for one in answer["results"]["items"] if one["file_id"] == file_id]


def longest_word(client: httpx.Client, file_id: str) -> tuple[str, float]:
    """A word of a recording, and when it is said."""
    segments = data(client.get(f"/api/files/{file_id}/transcript"))["segments"]
    words = [word for segment in segments for word in segment["words"]]
    longest = max(words, key=lambda word: len(word["word"].strip(".,?!")))
    return longest["word"].strip(".,?!"), longest["start"]


def test_a_recording_is_found_by_what_is_said(stack: Stack, tmp_path: Path):
    with stack.client() as client:
        file_id = uploaded(client, recording(tmp_path, "searched.wav", 21_000))
        word, said_at = longest_word(client, file_id)
        for mode in ("keyword", "semantic", "hybrid"):
            answer = until(
                partial(search, client, word, search_mode=mode, page_size=100),
                lambda found: found_in(found, file_id),
            )
            assert not answer["degraded"], answer["degraded_reasons"]
            [file] = found_in(answer, file_id)
            assert any(
                place["start"] <= said_at <= place["end"] and "<mark>" in place["snippet"]
                for place in file["occurrences"]
            ), (mode, word, said_at, file["occurrences"])
        client.put(f"/api/files/{file_id}", json={"title": "Quarterly zeppelin"})
        until(
            lambda: search(client, "zeppelin", search_mode="keyword"),
            lambda found: found_in(found, file_id),
        )
        suggested = data(client.get("/api/search/suggestions", params={"q": "zepp"}))
        assert {"title", "word"} & {one["type"] for one in suggested["suggestions"]}
        assert client.delete(f"/api/files/{file_id}").status_code == 204
        until(lambda: search(client, word), lambda found: not found_in(found, file_id))


def test_an_administrator_has_the_stores_made_anew(stack: Stack, tmp_path: Path):
    with stack.client() as client:
        file_id = uploaded(client, recording(tmp_path, "reindexed.wav", 23_000))
        word, _ = longest_word(client, file_id)
        until(lambda: search(client, word), lambda found: found_in(found, file_id))
        begun = data(client.post("/api/search/reindex"))
        status = until(
            lambda: data(client.get("/api/search/reindex/status")),
            lambda found: not found["active"],
        )
        assert (status["task"]["id"], status["task"]["state"]) == (begun["id"], "completed")
        assert found_in(search(client, word), file_id)
        health = until(
            lambda: data(client.get("/api/search/index-health")), lambda found: found["complete"]
        )
        assert health["status"] == "up"
        models = data(client.get("/api/search/models"))
        assert models["embedding_model"]
        assert models["dimension"] > 0
