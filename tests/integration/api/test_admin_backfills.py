"""Backfills over the API: planned, begun once, followed, stopped, resumed, reported."""

import io
import json
import uuid

import httpx
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from api.dependencies import Services
from db.engine import session_scope
from db.models import (
    AuditEvent,
    Backfill,
    BackfillItem,
    ItemState,
    Task,
    TaskKind,
    TaskState,
    Transcript,
)
from tests.fixtures.files import promote, stored_files, user_id

BACKFILLS = "/api/admin/backfills"
STATS = {
    "transcriber": {"model": "large-v3"},
    "speaker_segmenter": {"model": "pyannote"},
    "aligner": {"model": "ctc"},
    "speaker_embedder": {"model": "pyannote", "embedding_model": "cam"},
}


@pytest.fixture
async def admin(client: httpx.AsyncClient, services: Services, speech_health):
    """An administrator of an installation whose replicas say which models they run."""
    await promote(services.sessions, client)
    speech_health.answer = {role: {"status": "up", "stats": stats} for role, stats in STATS.items()}
    return await user_id(client)


async def transcribed(
    services: Services, client: httpx.AsyncClient, models: list[str]
) -> list[uuid.UUID]:
    """Files with transcripts, each by one of these models."""
    ids = [uuid.UUID(one) for one in await stored_files(services.sessions, client, len(models))]
    async with session_scope(services.sessions) as session:
        session.add_all(
            Transcript(
                media_file_id=file_id,
                language="en",
                task="transcribe",
                diarization="done",
                models={"whisper": model},
            )
            for file_id, model in zip(ids, models, strict=True)
        )
    return ids


async def data(answer: httpx.Response, status: int = 200):
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


async def test_a_plan_counts_what_another_model_made(client, services, admin):
    await transcribed(services, client, ["large-v2", "large-v2", "large-v3"])
    body: dict[str, object] = {"stage": "re-transcribe"}
    found = await data(await client.post(f"{BACKFILLS}/plan", json=body))
    assert (found["files"], found["owners"], found["left_out"]) == (2, 1, 0)
    assert found["audio_hours"] > 0
    assert found["windows"] > 0
    assert not found["measured"]
    body["selection"] = {"everything": True}
    assert (await data(await client.post(f"{BACKFILLS}/plan", json=body)))["files"] == 3
    body["limits"] = {"audio_hours": 0.0001}
    cut = await data(await client.post(f"{BACKFILLS}/plan", json=body))
    assert cut["cut_by"] == "audio_hours"
    assert cut["seconds"] < found["seconds"]
    async with session_scope(services.sessions) as session:
        assert (await session.scalars(select(Backfill))).all() == []


async def test_a_backfill_is_begun_once_and_audited(client, services, admin):
    headers = {"Idempotency-Key": "once"}
    body = {"stage": "re-diarize", "engine": "online", "limits": {"actors": 3}}
    first = await data(await client.post(BACKFILLS, json=body, headers=headers), 202)
    again = await data(await client.post(BACKFILLS, json=body, headers=headers), 202)
    assert first == again
    assert (first["state"], first["selected"], first["progress"]) == ("queued", False, 0.0)
    async with session_scope(services.sessions) as session:
        [task] = (await session.scalars(select(Task).where(Task.kind == TaskKind.backfill))).all()
        [row] = (await session.scalars(select(Backfill))).all()
        noted = await session.scalar(
            select(AuditEvent).where(AuditEvent.action == "backfill.begun")
        )
    assert (task.backfill_id, str(task.id), task.reserved) == (row.id, first["task_id"], False)
    assert (row.actors, row.user_id, noted.subject_id) == (3, admin, first["id"])
    listed = await data(await client.get(BACKFILLS))
    assert [one["id"] for one in listed["items"]] == [first["id"]]


async def test_it_is_stopped_and_goes_on(client, services, admin):
    begun = await data(await client.post(BACKFILLS, json={"stage": "re-index"}), 202)
    url = f"{BACKFILLS}/{begun['id']}"
    assert (await client.post(f"{url}/resume", json={})).json()["error_type"] == "conflict"
    stopped = await data(await client.post(f"{url}/cancel"))
    assert stopped["state"] == "cancelled"
    assert (await client.post(f"{url}/cancel")).json()["error_type"] == "conflict"
    wanted = {"limits": {"audio_hours": 2}}
    resumed = await data(await client.post(f"{url}/resume", json=wanted), 202)
    assert (resumed["state"], resumed["id"]) == ("queued", begun["id"])
    assert resumed["task_id"] != begun["task_id"]
    async with session_scope(services.sessions) as session:
        row = await session.get_one(Backfill, uuid.UUID(begun["id"]))
    assert row.max_audio_seconds == 7200


async def test_a_report_says_what_became_of_each_file(client, services, admin):
    files = await transcribed(services, client, ["old"] * 3)
    begun = await data(await client.post(BACKFILLS, json={"stage": "re-transcribe"}), 202)
    backfill_id = uuid.UUID(begun["id"])
    async with session_scope(services.sessions) as session:
        for number, (file_id, state) in enumerate(
            zip(files, ("done", "failed", "waiting"), strict=True)
        ):
            item = BackfillItem(
                backfill_id=backfill_id,
                number=number,
                media_file_id=file_id,
                state=ItemState(state),
                audio_seconds=60.0,
            )
            if state == "failed":
                item.error_type, item.error_message = "invalid_media", "=cmd|'/c calc'!A1"
            session.add(item)
        await session.execute(
            update(Task)
            .where(Task.backfill_id == backfill_id)
            .values(state=TaskState.running, lease_owner="x")
        )
    found = await data(await client.get(f"{BACKFILLS}/{backfill_id}/report"))
    assert found["backfill"]["items"] == {"waiting": 1, "done": 1, "failed": 1, "skipped": 0}
    assert found["reasons"] == [{"state": "failed", "error_type": "invalid_media", "files": 1}]
    url = f"{BACKFILLS}/{backfill_id}/items"
    failed = await data(await client.get(url, params={"state": "failed"}))
    assert [one["media_file_id"] for one in failed["items"]] == [str(files[1])]
    answer = await client.get(f"{BACKFILLS}/{backfill_id}/report.parquet")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    rows = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    assert [row["file_id"] for row in rows] == [str(file_id) for file_id in files]
    assert [row["state"] for row in rows] == ["done", "failed", "waiting"]


async def test_a_manifest_is_kept_and_counted(client, services, admin):
    rows = [{"source": f"import/{number}.wav"} for number in range(3)]
    content = "\n".join(map(json.dumps, rows)).encode()
    kept = await data(
        await client.post(f"{BACKFILLS}/manifests", files={"file": ("list.jsonl", content)}), 201
    )
    assert kept["rows"] == 3
    assert await services.objects.get(kept["location"]) == content
    body = {"stage": "import", "selection": {"manifest": kept["location"]}}
    assert (await data(await client.post(f"{BACKFILLS}/plan", json=body)))["files"] == 3
    wrong = await client.post(f"{BACKFILLS}/manifests", files={"file": ("x", b"no list")})
    assert (wrong.status_code, wrong.json()["error_type"]) == (422, "validation_error")


async def listed(client, rows) -> str:
    """Where a manifest with these rows lies."""
    content = "\n".join(map(json.dumps, rows)).encode()
    files = {"file": ("list.jsonl", content)}
    kept = await data(await client.post(f"{BACKFILLS}/manifests", files=files), 201)
    return str(kept["location"])


async def test_a_plan_of_listed_files_counts_those_that_are_here(client, services, admin):
    files = await transcribed(services, client, ["large-v2"] * 2)
    rows = [{"file_id": str(one)} for one in (*files, files[0], uuid.uuid4())]
    selection: dict[str, object] = {"everything": True, "file_ids": [str(one) for one in files]}
    by_id = {"stage": "re-transcribe", "selection": selection}
    expected = await data(await client.post(f"{BACKFILLS}/plan", json=by_id))
    by_list = {"stage": "re-transcribe", "selection": {"manifest": await listed(client, rows)}}
    found = await data(await client.post(f"{BACKFILLS}/plan", json=by_list))
    assert (found["files"], found["audio_hours"]) == (2, expected["audio_hours"])
    assert found["audio_hours"] > 0


async def test_a_plan_of_listed_files_leaves_out_what_is_not_chosen(client, services, admin):
    files = await transcribed(services, client, ["large-v2"] * 3)
    location = await listed(client, [{"file_id": str(one)} for one in files])
    for narrowed, count in (
        ({}, 3),
        ({"file_ids": [str(files[0]), str(uuid.uuid4())]}, 1),
        ({"created_to": "2000-01-01T00:00:00Z"}, 0),
    ):
        selection = {"manifest": location, **narrowed}
        body = {"stage": "re-transcribe", "selection": selection}
        found = await data(await client.post(f"{BACKFILLS}/plan", json=body))
        assert found["files"] == count


async def test_a_plan_beyond_the_calendar_is_a_plan(client, services, admin):
    location = await listed(client, [{"source": "import/a.wav", "duration": 1e300}])
    body = {"stage": "import", "selection": {"manifest": location}}
    found = await data(await client.post(f"{BACKFILLS}/plan", json=body))
    assert found["seconds"] > 1e290
    assert found["finish_at"].startswith("2")


@pytest.mark.parametrize(
    "body",
    [
        {"stage": "re-everything"},
        {"stage": "import"},
        {"stage": "re-align", "selection": {"prefix": "import/"}},
        {"stage": "re-index", "options": {"language": "de"}},
        {"stage": "re-align", "limits": {"audio_hours": 0}},
        {"stage": "re-align", "limits": {"audio_hours": "Infinity"}},
        {"stage": "re-align", "unknown": 1},
        {"stage": "re-diarize", "options": {"min_speakers": 3, "max_speakers": 2}},
        {"stage": "re-diarize", "options": {"speakers": 2}},
        {"stage": "import", "selection": {"prefix": "media/"}},
        {"stage": "import", "selection": {"prefix": "s3://elsewhere/x"}},
        {"stage": "import", "selection": {"prefix": "import/\0"}},
        {"stage": "import", "selection": {"prefix": "import/", "manifest": "import/list"}},
        {"stage": "import", "selection": {"prefix": "import/", "languages": ["de"]}},
        {"stage": "import", "selection": {"prefix": "import/", "everything": True}},
        {"stage": "re-align", "selection": {"import_owner_id": str(uuid.UUID(int=1))}},
        {"stage": "re-align", "selection": {"languages": ["de\0"]}},
        {"stage": "re-align", "selection": {"created_from": "2030-01-31T00:00:00"}},
        {
            "stage": "re-align",
            "selection": {
                "created_from": "2030-01-31T00:00:00Z",
                "created_to": "2030-01-31T00:00:00Z",
            },
        },
        {"stage": "re-align", "limits": {"audio_seconds_per_minute": 1e-9}},
    ],
)
async def test_what_makes_no_sense_is_refused(client, admin, body):
    for path in (BACKFILLS, f"{BACKFILLS}/plan"):
        answer = await client.post(path, json=body)
        assert (answer.status_code, answer.json()["error_type"]) == (422, "validation_error")


async def test_a_plan_needs_to_know_which_models_are_in_use(client, admin, speech_health):
    speech_health.answer = {}
    answer = await client.post(f"{BACKFILLS}/plan", json={"stage": "re-transcribe"})
    assert (answer.status_code, answer.json()["error_type"]) == (503, "speech_unavailable")
    summaries = await client.post(f"{BACKFILLS}/plan", json={"stage": "re-summarize"})
    assert summaries.status_code == 200
