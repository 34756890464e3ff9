"""A person who speaks in two recordings is recognised in the second one, and can be forgotten."""

import asyncio
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydantic import SecretStr

from cluster.embedded.installation import Installation
from cluster.settings import ObjectSettings
from db.objects.s3 import S3Objects
from serving.speech import SAMPLE_RATE
from tests.fixtures.stack import Stack
from tests.models.recordings import shared

pytestmark = [pytest.mark.stack, pytest.mark.models]

NAME = "Adélaïde Überall"
PATIENCE_SECONDS = 300
"""For a transcription with real models on a busy machine."""
ALL_TABLES = """
    SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
"""


def until(look: Callable[[], Any]) -> Any:
    """What a look finds at last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return found


def data(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()["data"]


def dialogue(target: Path) -> Path:
    """The reader of 2412 with another text, then somebody else."""
    pause = np.zeros(SAMPLE_RATE // 2, dtype=np.int16)
    names = "2412-153948-0001.flac", "libri-1088-134315-0000.wav"
    first, second = (shared(name).audio for name in names)
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.concatenate([first, pause, second]).tobytes())
    return target


def transcribed(client: httpx.Client, path: Path) -> str:
    """The id of a completed file."""
    files = {"file": (path.name, path.read_bytes())}
    accepted = data(client.post("/api/files/upload", files=files))

    def ended() -> bool:
        state = data(client.get(f"/api/tasks/{accepted['task']['id']}"))["state"]
        assert state in {"queued", "running", "completed"}, state
        return bool(state == "completed")

    until(ended)
    return str(accepted["file"]["id"])


def voices(client: httpx.Client, file_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data(client.get("/api/speakers", params={"file_id": file_id}))[
        "items"
    ]
    return found


def exported(client: httpx.Client, file_id: str) -> str:
    return client.get(f"/api/files/{file_id}/exports/txt").raise_for_status().text


def rows(stack: Stack) -> Iterator[tuple[str, str]]:
    """Every row of every table, vectors included, as text."""
    for table in stack.query(ALL_TABLES):
        for row in stack.query(f"SELECT t::text AS row FROM {table['name']} t"):
            yield table["name"], row["row"]


def stored_bytes(stack: Stack) -> dict[str, bytes]:
    """Every object."""
    environment = Installation(stack.data_dir).environment()

    async def read() -> dict[str, bytes]:
        store = S3Objects(
            ObjectSettings(
                endpoint=environment["MINIO_ENDPOINT"],
                access_key=SecretStr(environment["MINIO_ACCESS_KEY"]),
                secret_key=SecretStr(environment["MINIO_SECRET_KEY"]),
            )
        )
        keys = [one.key async for page in store.pages("") for one in page]
        return {key: await store.get(key) for key in keys}

    return asyncio.run(read())


def test_a_person_is_recognised_named_and_forgotten(real_stack: Stack, tmp_path: Path):
    with real_stack.client() as client:
        alone = transcribed(client, shared("2412-153948-0000.flac").path)
        talk = transcribed(client, dialogue(tmp_path / "talk.wav"))
        [reader] = voices(client, alone)
        # A match is a fact about voices; nobody is named yet.
        until(lambda: voices(client, alone)[0]["cross_video_matches"])
        assert all(not voice["suggestions"] for voice in voices(client, talk))

        data(client.put(f"/api/speakers/{reader['id']}", json={"display_name": NAME}))
        suggested = [voice for voice in voices(client, talk) if voice["suggestions"]]
        [she] = [voice for voice in suggested if voice["suggestions"][0]["name"] == NAME]
        best = she["suggestions"][0]
        assert best["profile_id"], best
        assert best["level"] in {"medium", "high"}, best
        assert NAME in best["reason"], best

        verdict = {"action": "accept", "profile_id": best["profile_id"]}
        data(client.post(f"/api/speakers/{she['id']}/verify", json=verdict))
        for file_id in (alone, talk):
            assert NAME in exported(client, file_id)

        profile = f"/api/speaker-profiles/profiles/{best['profile_id']}"
        occurrences = data(client.get(f"{profile}/occurrences"))
        assert {one["file_id"] for one in occurrences["items"]} == {alone, talk}
        data(client.post(f"{profile}/erase"))

        for file_id in (alone, talk):
            assert NAME not in exported(client, file_id)
            assert all(voice["display_name"] is None for voice in voices(client, file_id))
        assert client.get(profile).status_code == 404

    until(lambda: not real_stack.query("SELECT 1 FROM outbox WHERE destination <> 'objects'"))
    # A passage says which speakers of its file speak in it: they are there, without a name.
    gone = (NAME.lower(), reader["id"], she["id"])
    left = [
        (table, row[:200])
        for table, row in rows(real_stack)
        if NAME.lower() in row.lower()
        or (table.startswith('vectors."voiceprints') and any(one in row for one in gone[1:]))
    ]
    assert left == []
    [(embeddings,)] = real_stack.query(
        "SELECT count(embedding) FROM speaker WHERE id = ANY($1::uuid[])", gone[1:]
    )
    assert embeddings == 0
    assert [key for key, body in stored_bytes(real_stack).items() if NAME.encode() in body] == []
