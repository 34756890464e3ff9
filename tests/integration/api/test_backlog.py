"""How much may wait, and what a waiting task's owner is told, over real stores."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import event, func, select, text, update

from api.factory import create_app
from cluster.settings import QueueSettings
from db.engine import Sessions, session_scope
from db.models import Lane, Task, TaskState
from pipelines import backlog, queue
from pipelines.backlog import DEFAULT_SPEED
from pipelines.errors import QueueFull
from tests.fixtures.api import complete, connect, prepare, send_all, upload

PREPARE = "/api/files/upload/prepare"
FILE = {"filename": "a.wav", "size_bytes": 10}
MINUTES = 10
"""What each user may have waiting here."""


@pytest.fixture
def queue_settings() -> QueueSettings:
    return QueueSettings(max_hours_per_user=MINUTES / 60, max_hours=3 * MINUTES / 60)


def refused(response: httpx.Response) -> int:
    """The seconds after which a request that was refused is to come again."""
    assert response.status_code == 429, response.text
    assert response.json()["error_type"] == "queue_full"
    return int(response.headers["Retry-After"])


async def user_of(client) -> uuid.UUID:
    return uuid.UUID((await client.get("/api/auth/me")).json()["data"]["id"])


async def wait(sessions: Sessions, client, seconds: float, count: int = 1, **more) -> list[str]:
    """Put tasks into a user's queue; their ids."""
    user = await user_of(client)
    async with session_scope(sessions) as session:
        tasks = [
            await queue.submit(
                session, user_id=user, media_file_id=None, audio_seconds=seconds, **more
            )
            for _ in range(count)
        ]
        # Within one transaction all have the same time.
        for number, task in enumerate(tasks):
            created = func.now() + timedelta(milliseconds=number)
            await session.execute(update(Task).where(Task.id == task.id).values(created_at=created))
    return [str(task.id) for task in tasks]


async def done(sessions: Sessions, client, *spans: tuple[float, float, float]) -> None:
    """Completed tasks: audio seconds, begun and ended so many seconds ago."""
    user = await user_of(client)
    async with session_scope(sessions) as session:
        for audio, begun, ended in spans:
            task = await queue.submit(session, user_id=user, media_file_id=None)
            await session.execute(
                update(Task)
                .where(Task.id == task.id)
                .values(
                    state=TaskState.completed,
                    audio_seconds=audio,
                    started_at=func.now() - timedelta(seconds=begun),
                    finished_at=func.now() - timedelta(seconds=ended),
                )
            )


async def clear(sessions: Sessions) -> None:
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE task SET state = 'cancelled' WHERE state = 'queued'"))


async def counts(sessions: Sessions, *tables: str) -> list[int]:
    async with session_scope(sessions) as session:
        return [await session.scalar(text(f"SELECT count(*) FROM {name}")) for name in tables]


class TestLimits:
    async def test_a_full_queue_is_said_before_anything_is_sent(self, client, sessions):
        await wait(sessions, client, 60, MINUTES)
        answer = await client.post(PREPARE, json=FILE)
        assert refused(answer) >= 1
        assert "hours of your recordings are waiting" in answer.json()["detail"]
        assert await counts(sessions, "upload", "outbox") == [0, 0]

    async def test_a_direct_upload_is_refused_and_leaves_nothing(
        self, client, sessions, recording, objects, prober
    ):
        await wait(sessions, client, 60, MINUTES)
        refused(await upload(client, recording))
        assert prober.asked == 0
        assert await objects.delete_prefix("") == 0
        assert await counts(sessions, "media_file", "outbox") == [0, 0]

    async def test_what_has_no_room_after_all_is_removed_again(
        self, client, sessions, long_recording, recording, objects
    ):
        # Room for the shortest, which is what is asked early, but not for two minutes.
        await wait(sessions, client, 60, MINUTES - 1)
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        refused(await complete(client, opened))
        assert await objects.delete_prefix("media/") == 0
        assert (await upload(client, recording)).status_code == 201

    async def test_a_refused_completion_can_be_repeated(self, client, sessions, long_recording):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        for minutes in (MINUTES, MINUTES - 1):  # found early, and found at the end
            await wait(sessions, client, 60, minutes)
            key = {"Idempotency-Key": "one"}
            path = f"/api/files/upload/{opened['upload_id']}"
            refused(await client.post(f"{path}/complete", headers=key))
            there = (await client.get(path)).json()["data"]
            assert (there["state"], there["parts_received"]) == ("open", [1, 2, 3])
            await clear(sessions)
        assert (await client.post(f"{path}/complete", headers=key)).status_code == 201

    async def test_what_never_fits_is_not_told_to_wait(self, client, services, long_recording):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        small = replace(services, queue=QueueSettings(max_hours_per_user=1 / 60))
        async with connect(create_app(small)) as connected:
            connected.headers["Authorization"] = client.headers["Authorization"]
            answer = await complete(connected, opened)
        assert (answer.status_code, answer.json()["error_type"]) == (422, "audio_too_long")
        assert "even if nothing else waited" in answer.json()["detail"]
        assert "Retry-After" not in answer.headers

    async def test_others_do_not_take_my_share_but_all_of_it_together(
        self, client, stranger, sessions
    ):
        await wait(sessions, stranger, 60, MINUTES)
        assert (await client.post(PREPARE, json=FILE)).status_code == 201
        await wait(sessions, stranger, 60, 2 * MINUTES)
        answer = await client.post(PREPARE, json=FILE)
        assert refused(answer) >= 1
        assert "everybody's" in answer.json()["detail"]

    async def test_what_runs_does_not_wait(self, client, sessions):
        await wait(sessions, client, 60, MINUTES)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE task SET state = 'running'"))
        assert (await client.post(PREPARE, json=FILE)).status_code == 201

    async def test_of_many_at_once_as_many_are_taken_as_fit(self, client, sessions, queue_settings):
        user = await user_of(client)

        async def submit() -> bool:
            try:
                async with session_scope(sessions) as session:
                    await backlog.admit(session, user, 60, queue_settings)
                    await queue.submit(session, user_id=user, media_file_id=None, audio_seconds=60)
            except QueueFull:
                return False
            return True

        taken = await asyncio.gather(*(submit() for _ in range(3 * MINUTES)))
        assert sum(taken) == MINUTES
        assert await counts(sessions, "task") == [MINUTES]


class TestRetryAfter:
    async def test_before_anything_is_measured_real_time_is_assumed(self, client, sessions):
        await wait(sessions, client, 60, MINUTES)
        assert refused(await client.post(PREPARE, json=FILE)) == 10 / DEFAULT_SPEED

    async def test_then_it_goes_by_what_was_done(self, client, sessions):
        await done(sessions, client, (100, 50, 0))
        await wait(sessions, client, 60, MINUTES + 1)
        assert refused(await client.post(PREPARE, json=FILE)) == (60 + 10) / 2

    async def test_others_are_served_meanwhile(self, client, stranger, sessions):
        await wait(sessions, client, 60, MINUTES + 1)
        await wait(sessions, stranger, 40)
        assert refused(await client.post(PREPARE, json=FILE)) == 60 + 10 + 40

    async def test_it_is_never_more_than_an_hour_nor_less_than_a_second(self, client, sessions):
        await wait(sessions, client, 60, MINUTES)
        await done(sessions, client, (1_000_000, 10, 0))
        assert refused(await client.post(PREPARE, json=FILE)) == 1
        async with session_scope(sessions) as session:
            await session.execute(
                text(
                    "UPDATE task SET audio_seconds = 1e-3 * audio_seconds WHERE state = 'completed'"
                )
            )
        await wait(sessions, client, 1_000_000)
        assert refused(await client.post(PREPARE, json=FILE)) == 3600

    @pytest.mark.parametrize(
        ("spans", "measured"),
        [
            ([], DEFAULT_SPEED),
            ([(0, 10, 0)], DEFAULT_SPEED),
            ([(60, 10, 10)], DEFAULT_SPEED),
            ([(300, 3, 0)], 100),
            # Beside each other: time counts once.
            ([(300, 30, 0), (300, 30, 0)], 20),
            ([(300, 30, 10), (100, 20, 0)], 400 / 30),
            ([(300, 30, 0), (60, 20, 10)], 12),
            # Nothing to do in between: that time does not count.
            ([(100, 1000, 990), (100, 20, 10)], 10),
            # Too long ago.
            ([(100, 5000, 4000), (100, 20, 0)], 5),
        ],
    )
    async def test_the_speed(self, client, sessions, spans, measured):
        await done(sessions, client, *spans)
        async with session_scope(sessions) as session:
            assert await backlog.speed(session) == pytest.approx(measured)

    async def test_only_the_latest_count(self, client, sessions):
        old = [(1, 1000 + n, 999 + n) for n in range(20)]
        new = [(50, 200 + n, 199 + n) for n in range(100)]
        await done(sessions, client, *old, *new)
        async with session_scope(sessions) as session:
            assert await backlog.speed(session) == pytest.approx(50)


class TestPlaces:
    async def test_a_waiting_task_tells_its_place_and_when_it_will_be_done(
        self, client, stranger, sessions, recording
    ):
        await wait(sessions, stranger, 60, 3)
        await wait(sessions, stranger, 30, lane=Lane.live)
        first, second = await wait(sessions, client, 60, 2)
        await wait(sessions, stranger, 600, lane=Lane.bulk)
        file = (await upload(client, recording)).json()["data"]["file"]
        told = [(await client.get(f"/api/tasks/{task}")).json()["data"] for task in (first, second)]
        assert [task["queue_position"] for task in told] == [3, 5]
        assert [task["eta_seconds"] for task in told] == [150, 270]
        listed = (await client.get("/api/tasks")).json()["data"]["items"]
        assert [task["queue_position"] for task in reversed(listed)] == [3, 5, 7]
        detail = (await client.get(f"/api/files/{file['id']}")).json()["data"]["task"]
        assert (detail["queue_position"], detail["eta_seconds"]) == (7, 30 + 2 * 130)

    async def test_one_that_runs_has_none_and_keeps_its_own_estimate(self, client, sessions):
        running, waiting = await wait(sessions, client, 100, 2)
        async with session_scope(sessions) as session:
            await session.execute(
                update(Task)
                .where(Task.id == uuid.UUID(running))
                .values(state=TaskState.running, progress=0.25, eta_seconds=7)
            )
        task = (await client.get(f"/api/tasks/{running}")).json()["data"]
        assert (task["queue_position"], task["eta_seconds"]) == (None, 7)
        task = (await client.get(f"/api/tasks/{waiting}")).json()["data"]
        assert (task["queue_position"], task["eta_seconds"]) == (1, 175)

    async def test_a_page_costs_two_statements(self, client, sessions):
        await wait(sessions, client, 1, 50)
        user = await user_of(client)
        statements: list[str] = []

        def count(*arguments) -> None:
            statements.append(arguments[2])

        async with session_scope(sessions) as session:
            ids = (await session.scalars(select(Task.id))).all()
            engine = (await session.connection()).sync_engine
            event.listen(engine, "before_cursor_execute", count)
            places = await backlog.places(session, user, ids)
            event.remove(engine, "before_cursor_execute", count)
        assert sorted(place.position for place in places.values()) == list(range(1, 51))
        assert len(statements) == 2
