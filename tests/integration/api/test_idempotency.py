"""Idempotency keys, over real stores: one effect however often a request is sent."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.dependencies import Services
from api.errors import ERRORS, ApiError, ErrorType
from api.factory import create_app
from api.idempotency import IDEMPOTENT, Keeper
from api.pagination import Page
from cluster.settings import DatabaseSettings, MaintenanceSettings
from db.engine import Sessions, create_engine, create_sessions, session_scope
from db.guards import create_guard_engine
from pipelines import maintenance
from serving.speech import MediaProbe, MediaSource
from tests.fixtures.api import LocalProber, complete, connect, prepare, send_all

UPLOAD = "/api/files/upload"
KEY = {"Idempotency-Key": "one"}


class Gate(LocalProber):
    """The real prober, which waits until a test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def probe(self, source: MediaSource) -> MediaProbe:
        self.asked += 1
        await self.open.wait()
        return await super().probe(source)

    async def reached(self, count: int = 1) -> None:
        while self.asked < count:
            await asyncio.sleep(0.01)


def error_type(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error_type"]


def replayed(response: httpx.Response) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


async def send(client, data: bytes, key: str | None = "one", name="a.flac", **form: str):
    headers = {"Idempotency-Key": key} if key is not None else {}
    return await client.post(UPLOAD, files={"file": (name, data)}, data=form, headers=headers)


async def announce(client, key: str | None = "one", **body):
    headers = {"Idempotency-Key": key} if key is not None else {}
    wanted = {"filename": "a.wav", "size_bytes": 10, **body}
    return await client.post(f"{UPLOAD}/prepare", json=wanted, headers=headers)


async def rows(sessions: Sessions, table: str) -> int:
    async with session_scope(sessions) as session:
        return int(await session.scalar(text(f'SELECT count(*) FROM "{table}"')) or 0)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def gated(services: Services, gate: Gate, client) -> AsyncIterator[httpx.AsyncClient]:
    """The same user at an application whose header probe waits."""
    async with connect(create_app(replace(services, prober=gate))) as connected:
        connected.headers["Authorization"] = client.headers["Authorization"]
        yield connected
    gate.open.set()


@pytest.fixture
async def second_replica(services: Services, database_url, client):
    """The same user at a replica with connections of its own."""
    settings = DatabaseSettings(url=SecretStr(database_url))
    engine, guards = create_engine(settings), create_guard_engine(settings)
    other = replace(services, sessions=create_sessions(engine), guards=create_sessions(guards))
    async with connect(create_app(other)) as connected:
        connected.headers["Authorization"] = client.headers["Authorization"]
        yield connected
    await engine.dispose()
    await guards.dispose()


class TestRepetition:
    async def test_a_file_sent_whole(self, client, recording, sessions, prober):
        first = await send(client, recording, language="de")
        second = await send(client, recording, language="de")
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json() == second.json()
        assert (replayed(first), replayed(second)) == (False, True)
        assert await rows(sessions, "media_file") == await rows(sessions, "task") == 1
        assert prober.asked == 1

    async def test_an_upload_that_is_prepared(self, client, sessions):
        first, second = await announce(client), await announce(client)
        assert first.json() == second.json()
        assert (first.status_code, second.status_code, replayed(second)) == (201, 201, True)
        assert await rows(sessions, "upload") == 1

    async def test_an_upload_that_is_completed(self, client, long_recording, sessions):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        path = f"{UPLOAD}/{opened['upload_id']}/complete"
        first = await client.post(path, json={}, headers=KEY)
        second = await client.post(path, headers=KEY)
        assert first.json() == second.json()
        assert (first.status_code, second.status_code, replayed(second)) == (201, 201, True)
        assert await rows(sessions, "task") == 1

    async def test_an_upload_completed_without_a_key_before(self, client, recording):
        opened = await prepare(client, recording)
        await send_all(client, opened, recording)
        before = await complete(client, opened)
        path = f"{UPLOAD}/{opened['upload_id']}/complete"
        first, second = [await client.post(path, headers=KEY) for _ in range(2)]
        assert before.json() == first.json() == second.json()
        assert (replayed(first), replayed(second)) == (False, True)

    async def test_the_answer_stays_what_it_was(self, client, recording, sessions):
        first = await send(client, recording)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE task SET state = 'completed'"))
        assert (await send(client, recording)).json() == first.json()

    async def test_a_name_that_postgresql_could_not_keep(self, client):
        first, second = [await announce(client, filename="a\0b.wav") for _ in range(2)]
        assert first.json() == second.json()
        assert first.json()["data"]["filename"] == "ab.wav"

    async def test_without_a_key_nothing_is_repeated(self, client, sessions):
        first, second = await announce(client, None), await announce(client, None)
        assert first.json()["data"]["upload_id"] != second.json()["data"]["upload_id"]
        assert await rows(sessions, "idempotency_key") == 0


class TestKeys:
    @pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\tb", b"\xc3\xa4", b"a\x7f"])
    async def test_what_is_no_key(self, client, key):
        answer = await client.post(
            f"{UPLOAD}/prepare",
            json={"filename": "a.wav", "size_bytes": 1},
            headers={b"Idempotency-Key": key},
        )
        assert error_type(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["in"] == "header"

    @pytest.mark.parametrize("key", ["x" * 255, '"quoted" ; and = more', "'; DROP TABLE task"])
    async def test_what_is_one(self, client, key):
        assert (await announce(client, key)).status_code == 201
        assert replayed(await announce(client, key))

    async def test_another_content_is_refused(self, client, recording):
        await send(client, recording)
        for other in (
            await send(client, recording, language="de"),
            await send(client, recording, name="b.flac"),
            await send(client, recording + b"\0"),
            await announce(client),
        ):
            assert error_type(other) == (422, "idempotency_key_reused")

    async def test_keys_of_others_are_theirs(self, client, stranger, recording):
        first, second = await send(client, recording), await send(stranger, recording)
        assert (first.status_code, second.status_code) == (201, 201)
        assert not replayed(second)
        assert first.json()["data"]["file"]["id"] != second.json()["data"]["file"]["id"]

    async def test_a_refusal_is_not_kept(self, client, recording):
        opened = await prepare(client, recording)
        path = f"{UPLOAD}/{opened['upload_id']}/complete"
        early = await client.post(path, headers=KEY)
        assert error_type(early) == (409, "upload_incomplete")
        await send_all(client, opened, recording)
        assert (await client.post(path, headers=KEY)).status_code == 201

    async def test_after_a_day_a_key_is_new(self, client, sessions):
        first = await announce(client)
        async with session_scope(sessions) as session:
            await session.execute(
                text("UPDATE idempotency_key SET created_at = now() - interval '25 hours'")
            )
        await maintenance.drop_old_rows(sessions, MaintenanceSettings())
        again = await announce(client, size_bytes=11)
        assert again.status_code == 201
        assert again.json()["data"]["upload_id"] != first.json()["data"]["upload_id"]

    async def test_keys_go_with_their_user(self, client, sessions):
        await announce(client)
        assert await rows(sessions, "idempotency_key") == 1
        async with session_scope(sessions) as session:
            await session.execute(text('DELETE FROM "user"'))
        assert await rows(sessions, "idempotency_key") == 0


class TestAtOnce:
    async def test_twenty_make_one_task(self, client, recording, sessions, second_replica):
        clients = [client, second_replica] * 10
        answers = await asyncio.gather(*(send(each, recording) for each in clients))
        done = [answer for answer in answers if answer.status_code == 201]
        assert [replayed(answer) for answer in done].count(False) == 1
        assert len({answer.json()["data"]["task"]["id"] for answer in done}) == 1
        for answer in answers:
            if answer not in done:
                assert error_type(answer) == (409, "idempotency_in_progress")
                assert int(answer.headers["Retry-After"]) >= 1
        assert await rows(sessions, "media_file") == await rows(sessions, "task") == 1
        assert replayed(await send(second_replica, recording))

    async def test_the_second_is_told_that_the_first_is_in_progress(
        self, client, gated, gate, recording, second_replica
    ):
        first = asyncio.create_task(send(gated, recording))
        await gate.reached()
        for other in (client, second_replica):
            assert error_type(await send(other, recording)) == (409, "idempotency_in_progress")
        gate.open.set()
        assert (await first).status_code == 201
        assert (await send(second_replica, recording)).json() == (await first).json()

    async def test_a_client_that_hangs_up_finds_its_answer(self, client, gated, gate, recording):
        first = asyncio.create_task(send(gated, recording))
        await gate.reached()
        first.cancel()
        await asyncio.wait([first])
        assert error_type(await send(client, recording)) == (409, "idempotency_in_progress")
        gate.open.set()
        while (answer := await send(client, recording)).status_code == 409:
            await asyncio.sleep(0.05)
        assert (answer.status_code, replayed(answer)) == (201, True)

    async def test_a_lost_lock_does_not_make_a_second_task(
        self, client, gated, gate, recording, sessions
    ):
        first = asyncio.create_task(send(gated, recording))
        await gate.reached()
        async with session_scope(sessions) as session:
            ended = await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                    " application_name = 'rayscribe guard' AND datname = current_database()"
                )
            )
            assert len(ended.all()) >= 1
        second = asyncio.create_task(send(gated, recording))
        await gate.reached(2)
        gate.open.set()
        # What was done is done, whatever was said of it.
        statuses = sorted(answer.status_code for answer in await asyncio.gather(first, second))
        assert set(statuses) <= {201, 409, 503}
        assert await rows(sessions, "media_file") == await rows(sessions, "task") == 1
        again = await send(client, recording)
        assert (again.status_code, replayed(again)) == (201, True)

    async def test_who_is_slower_undoes_what_it_did(self, client, sessions):
        user = uuid.UUID((await client.get("/api/auth/me")).json()["data"]["id"])
        keep = Keeper(user, "one", "0" * 64, 201, "Done")
        answer = Page[int](items=[1], total=1, page=1, page_size=20, total_pages=1)
        async with session_scope(sessions) as session:
            await keep(session, answer)
        with pytest.raises(ApiError) as refused:
            async with session_scope(sessions) as session:
                await session.execute(text("UPDATE \"user\" SET full_name = 'slower'"))
                await keep(session, answer)
        assert refused.value.error_type is ErrorType.idempotency_in_progress
        assert (await client.get("/api/auth/me")).json()["data"]["full_name"] == ""


@pytest.mark.parametrize("path", ["", "/prepare", "/{upload_id}/complete"])
def test_routes_that_make_work_say_that_they_take_a_key(app, path):
    operation = app.openapi()["paths"][f"{UPLOAD}{path}"]["post"]
    (header,) = [each for each in operation["parameters"] if each["in"] == "header"]
    assert (header["name"], header["required"]) == ("idempotency-key", False)
    for error_type in IDEMPOTENT:
        response = operation["responses"][str(ERRORS[error_type].status)]
        assert error_type in response["content"]["application/problem+json"]["examples"]


class TestConnections:
    async def test_only_a_request_with_a_key_takes_one(self, services: Services, client):
        nowhere = DatabaseSettings(url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))
        engine = create_guard_engine(nowhere)
        app = create_app(replace(services, guards=create_sessions(engine)))
        async with connect(app) as connected:
            connected.headers["Authorization"] = client.headers["Authorization"]
            assert (await announce(connected, None)).status_code == 201
            assert error_type(await announce(connected)) == (503, "store_unavailable")
        await engine.dispose()

    async def test_slow_requests_do_not_keep_others_from_the_database(
        self, services: Services, client, gate, recording, database_url
    ):
        settings = DatabaseSettings(url=SecretStr(database_url), max_guarded_requests=1)
        engine = create_guard_engine(settings, wait_seconds=0.2)
        app = create_app(replace(services, guards=create_sessions(engine), prober=gate))
        async with connect(app) as connected:
            connected.headers["Authorization"] = client.headers["Authorization"]
            slow = asyncio.create_task(send(connected, recording))
            await gate.reached()
            refused = await announce(connected, "two")
            assert error_type(refused) == (503, "server_busy")
            assert int(refused.headers["Retry-After"]) >= 1
            assert (await announce(connected, None)).status_code == 201
            gate.open.set()
            assert (await slow).status_code == 201
            assert (await announce(connected, "two")).status_code == 201
        await engine.dispose()
