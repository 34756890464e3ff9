"""Lists of tasks: filters, order, pages, and what administrators may read."""

import uuid
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import text

from db.engine import session_scope
from db.models import Task, TaskKind, TaskState
from tests.fixtures.files import promote, stored_files, user_id
from tests.integration.api.test_uploads import error_type

TASKS = "/api/tasks"


async def stored_tasks(sessions, client, *values: dict) -> list[str]:
    """Ids of tasks of this client's user, each a minute younger than the one before."""
    owner = await user_id(client)
    now = datetime.now(UTC)
    async with session_scope(sessions) as session:
        tasks = [
            Task(
                **{
                    "id": uuid.uuid4(),
                    "user_id": owner,
                    "kind": TaskKind.transcription,
                    "state": TaskState.completed,
                    "created_at": now - timedelta(minutes=len(values) - number),
                    **each,
                }
            )
            for number, each in enumerate(values)
        ]
        session.add_all(tasks)
    return [str(task.id) for task in tasks]


async def listed(client, **params) -> list[str]:
    answer = await client.get(TASKS, params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["data"]["items"]]


async def test_newest_first_in_pages_of_ones_own(client, stranger, sessions):
    ids = await stored_tasks(sessions, client, *[{} for _ in range(5)])
    await stored_tasks(sessions, stranger, {})
    assert await listed(client) == ids[::-1]
    assert await listed(client, page=2, page_size=2) == [ids[2], ids[1]]


async def test_states_and_kinds(client, sessions):
    done, failed, download, playlist = await stored_tasks(
        sessions,
        client,
        {},
        {"state": TaskState.failed, "error_type": "invalid_media"},
        {"kind": TaskKind.download},
        {"kind": TaskKind.playlist, "state": TaskState.failed, "error_type": "url_refused"},
    )
    assert await listed(client, state="failed") == [playlist, failed]
    assert await listed(client, state=["failed", "completed"], kind="transcription") == [
        failed,
        done,
    ]
    assert await listed(client, kind=["download", "playlist"]) == [playlist, download]
    assert await listed(client, state="queued") == []


async def test_a_file_and_a_batch(client, sessions):
    [file_id] = await stored_files(sessions, client)
    [batch] = await stored_tasks(sessions, client, {"kind": TaskKind.playlist, "result": {"n": 2}})
    child, of_file = await stored_tasks(
        sessions,
        client,
        {"kind": TaskKind.download, "parent_id": uuid.UUID(batch)},
        {"media_file_id": uuid.UUID(file_id)},
    )
    assert await listed(client, parent_id=batch) == [child]
    assert await listed(client, file_id=file_id) == [of_file]
    assert await listed(client, file_id=file_id, parent_id=batch) == []
    assert (await client.get(f"{TASKS}/{child}")).json()["data"]["parent_id"] == batch
    assert (await client.get(f"{TASKS}/{batch}")).json()["data"]["result"] == {"n": 2}


async def test_ages_are_those_that_the_tasks_tell(client, sessions):
    midnight = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    instant = timedelta(microseconds=1)
    moments = [midnight - timedelta(days=days) for days in (0, 7, 30)]
    ids = await stored_tasks(
        sessions,
        client,
        *[{"created_at": moment - early} for moment in moments for early in (timedelta(), instant)],
    )
    ages = {}
    for age in ("today", "week", "month", "older"):
        for task_id in await listed(client, age=age):
            assert task_id not in ages
            ages[task_id] = age
            assert (await client.get(f"{TASKS}/{task_id}")).json()["data"]["age_category"] == age
    assert [ages[task_id] for task_id in ids] == [
        *("today", "week", "week", "month", "month", "older")
    ]


async def test_dates(client, sessions):
    first, second, third = await stored_tasks(
        sessions,
        client,
        {"created_at": datetime(2030, 1, 1, 23, 59, 59, 999_999, UTC)},
        {"created_at": datetime(2030, 1, 2, 0, 0, 0, 0, UTC)},
        {"created_at": datetime(2030, 1, 3, 12, 0, 0, 0, UTC)},
    )
    assert await listed(client, date_from="2030-01-02") == [third, second]
    assert await listed(client, date_to="2030-01-02") == [second, first]
    assert await listed(client, date_from="2030-01-02", date_to="2030-01-02") == [second]
    assert await listed(client, date_from="2030-01-02T00:00:00Z") == [third, second]
    # The same moment, where the clock shows another day.
    assert await listed(client, date_to="2030-01-01T19:00:00-05:00") == [second, first]
    assert await listed(client, date_from="2030-01-04") == []


@pytest.mark.parametrize(
    "params",
    [
        {"state": "lost"},
        {"kind": "\0"},
        {"age": "yesterday"},
        {"date_from": "soon"},
        {"date_from": "0001-01-01T00:00:00+14:00"},
        {"date_to": "9999-12-31"},
        {"date_from": "2030-01-02", "date_to": "2030-01-01"},
        {"file_id": "1"},
        {"parent_id": "\0"},
        {"page": 0},
    ],
)
async def test_questions_that_make_no_sense(client, params):
    assert error_type(await client.get(TASKS, params=params)) == (422, "validation_error")


async def test_an_administrator_reads_one_and_leaves_a_trace(client, stranger, sessions):
    [task_id] = await stored_tasks(sessions, client, {})
    path = f"{TASKS}/{task_id}"
    assert error_type(await stranger.get(path)) == (404, "not_found")
    await promote(sessions, stranger)
    assert (await stranger.get(path)).json()["data"]["id"] == task_id
    assert (await client.get(path)).status_code == 200
    async with session_scope(sessions) as session:
        rows = await session.execute(
            text("SELECT subject_id, actor_id FROM audit_event WHERE action = 'task.read'")
        )
    assert [tuple(map(str, row)) for row in rows] == [(task_id, str(await user_id(stranger)))]
    # To read is all that they may, and lists are one's own.
    assert error_type(await stranger.post(f"{path}/cancel")) == (404, "not_found")
    assert await listed(stranger) == []
