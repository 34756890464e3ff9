"""The outbox: the pause after a failure grows with failures, whatever is noted meanwhile."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from cluster.settings import MaintenanceSettings
from db.engine import Sessions, session_scope
from db.errors import StoreUnavailable
from db.models import Destination, OutboxEntry
from db.queries import outbox as queries
from pipelines import outbox
from tests.fixtures.voiceprints import due_now

SETTINGS = MaintenanceSettings(outbox_retry_seconds=10)


async def note(sessions: Sessions) -> None:
    async with session_scope(sessions) as session:
        await queries.add(session, Destination.vectors, "file/1", {})


async def fail(sessions: Sessions) -> None:
    async def away(_: OutboxEntry) -> timedelta | None:
        raise StoreUnavailable("no answer")

    assert await outbox.drain(sessions, {Destination.vectors: away}, SETTINGS) == 1


async def entry(sessions: Sessions) -> tuple[int, int, float]:
    """How often it was noted or taken, how often it failed, and in how many seconds it is due."""
    pause = func.extract("epoch", OutboxEntry.due_at - func.now())
    async with session_scope(sessions) as session:
        query = select(OutboxEntry.attempts, OutboxEntry.failures, pause)
        attempts, failures, seconds = (await session.execute(query)).one()
        return attempts, failures, float(seconds)


async def test_the_pause_is_that_of_failures_and_not_of_notes(sessions):
    for _ in range(9):
        await note(sessions)
    await fail(sessions)
    attempts, failures, seconds = await entry(sessions)
    assert (attempts, failures) == (9, 1)
    assert seconds <= 10


async def test_it_doubles_with_each_failure(sessions):
    await note(sessions)
    for count in (1, 2, 3):
        await fail(sessions)
        _, failures, seconds = await entry(sessions)
        assert failures == count
        assert 10 * 2 ** (count - 2) < seconds <= 10 * 2 ** (count - 1)
        await due_now(sessions)


@pytest.mark.parametrize("how", ["one", "selected"])
async def test_noted_anew_it_begins_anew(sessions, how):
    await note(sessions)
    await fail(sessions)
    await due_now(sessions)
    await fail(sessions)
    if how == "one":
        await note(sessions)
    else:
        async with session_scope(sessions) as session:
            again = select(OutboxEntry.subject, OutboxEntry.payload)
            assert await queries.add_selected(session, Destination.vectors, again) == 1
    _, failures, seconds = await entry(sessions)
    assert failures == 0
    assert seconds <= 0


async def test_what_is_only_put_off_has_not_failed(sessions):
    async def later(_: OutboxEntry) -> timedelta | None:
        return timedelta(minutes=1)

    await note(sessions)
    await fail(sessions)
    await due_now(sessions)
    assert await outbox.drain(sessions, {Destination.vectors: later}, SETTINGS) == 1
    assert (await entry(sessions))[1] == 0
