"""The outbox: the pause after a failure grows with failures, whatever is noted meanwhile."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from cluster.settings import MaintenanceSettings
from db.engine import Sessions, session_scope
from db.errors import StoreBusy, StoreUnavailable
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


async def test_an_outage_is_waited_for_a_minute_at_a_time(sessions):
    await note(sessions)
    for _ in range(8):
        await fail(sessions)
        _, _, seconds = await entry(sessions)
        assert seconds <= outbox.MAX_PAUSE_WHILE_AWAY_SECONDS
        await due_now(sessions)


async def note_many(sessions: Sessions, count: int) -> None:
    async with session_scope(sessions) as session:
        noted: dict[str, dict[str, str]] = {f"file/{number:02}": {} for number in range(count)}
        await queries.add_all(session, Destination.vectors, noted)


async def test_while_a_store_is_away_little_is_tried_and_then_all(sessions):
    await note_many(sessions, 20)
    tried: list[str] = []

    async def away(wanted: OutboxEntry) -> timedelta | None:
        tried.append(wanted.subject)
        raise StoreUnavailable("no answer")

    async def back(wanted: OutboxEntry) -> timedelta | None:
        tried.append(wanted.subject)
        return None

    assert await outbox.drain(sessions, {Destination.vectors: away}, SETTINGS) == 3
    assert await outbox.drain(sessions, {Destination.vectors: away}, SETTINGS) == 3
    assert len(set(tried)) == 6
    assert await outbox.drain(sessions, {Destination.vectors: back}, SETTINGS) == 14
    await due_now(sessions)
    assert await outbox.drain(sessions, {Destination.vectors: back}, SETTINGS) == 6
    assert sorted(tried[6:]) == sorted(f"file/{number:02}" for number in range(20))


async def test_a_store_may_be_away_from_the_last_entries_on(sessions):
    await note_many(sessions, outbox.AWAY_AFTER)

    async def away(_: OutboxEntry) -> timedelta | None:
        raise StoreUnavailable("no answer")

    assert await outbox.drain(sessions, {Destination.vectors: away}, SETTINGS) == 3


@pytest.mark.parametrize("error", [StoreUnavailable("too much"), StoreBusy("held")])
async def test_entries_that_fail_alone_do_not_hold_up_the_others(sessions, error):
    await note_many(sessions, 12)
    done: list[str] = []

    async def some(wanted: OutboxEntry) -> timedelta | None:
        # Two of three; held ones may all be neighbours.
        if isinstance(error, StoreBusy) or int(wanted.subject[5:]) % 3:
            raise error
        done.append(wanted.subject)
        return None

    assert await outbox.drain(sessions, {Destination.vectors: some}, SETTINGS) == 12
    assert len(done) == (0 if isinstance(error, StoreBusy) else 4)


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
