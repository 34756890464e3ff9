"""A user's feed: order, one reading for all, slow readers, progress that is never out of date."""

import asyncio
import uuid
from collections.abc import Sequence

import pytest

from api.events.feed import KEPT, PAGE, RESYNC, Draining, Event, Feed, Subscription, said

TASK = uuid.UUID(int=7)


class Table:
    """Rows in memory, read as the table is; counts the readings."""

    def __init__(self, count: int = 0) -> None:
        self.rows: list[Event] = []
        self.readings: list[int] = []
        self.slow = asyncio.Event()
        self.slow.set()
        self.add(count)

    def add(self, count: int = 1, task_id: uuid.UUID | None = None) -> int:
        for _ in range(count):
            number = len(self.rows) + 1
            self.rows.append(said("seen", {"n": number}, sequence=number, task_id=task_id))
        return len(self.rows)

    async def load(self, position: int) -> Sequence[Event]:
        self.readings.append(position)
        found = [row for row in self.rows if row.sequence > position][:PAGE]
        await self.slow.wait()
        return found


def numbers(events: Sequence[Event]) -> list[int | None]:
    return [event.sequence for event in events]


async def everything(place: Subscription, last: int) -> list[int | None]:
    seen: list[int | None] = []
    while place.position < last:
        seen += numbers(await place.next())
    return seen


async def waits(work: asyncio.Task) -> bool:
    await asyncio.sleep(0.01)
    return not work.done()


async def test_many_readers_cost_one_reading_per_event():
    table = Table(5)
    feed = Feed(table.load, 5)
    places = [Subscription(feed, 5) for _ in range(50)]
    waiting = [asyncio.create_task(place.next()) for place in places]
    assert await waits(waiting[0])
    assert table.readings == []
    feed.told(table.add())
    assert [numbers(batch) for batch in await asyncio.gather(*waiting)] == [[6]] * 50
    assert table.readings == [5]


async def test_what_is_told_during_a_reading_is_read_too():
    table = Table()
    feed = Feed(table.load, 0)
    place = Subscription(feed, 0)
    table.slow.clear()
    feed.told(table.add())
    first = asyncio.create_task(place.next())
    assert await waits(first)
    # The row comes after the table was looked at; its notice comes before the answer does.
    feed.told(table.add())
    late = asyncio.create_task(Subscription(feed, 1).next())
    assert await waits(late)
    table.slow.set()
    assert numbers(await first) == [1]
    assert numbers(await asyncio.wait_for(late, 1)) == [2]
    assert await asyncio.wait_for(everything(place, 2), 1) == [2]


async def test_who_is_far_behind_reads_the_table_and_holds_up_nobody():
    table = Table()
    feed = Feed(table.load, 0)
    slow, quick = Subscription(feed, 0), Subscription(feed, 0)
    last = 0
    for _ in range(3 * KEPT // 10):
        last = table.add(10)
        feed.told(last)
        assert numbers(await quick.next())[-1] == last
    assert await everything(slow, last) == list(range(1, last + 1))
    assert len(feed._events) == KEPT


async def test_a_doubt_brings_what_nobody_told():
    table = Table(3)
    feed = Feed(table.load, 3)
    waiting = asyncio.create_task(Subscription(feed, 3).next())
    table.add(2 * PAGE)
    assert await waits(waiting)
    feed.doubt()
    place = Subscription(feed, 3)
    assert await everything(place, 3 + 2 * PAGE) == list(range(4, 4 + 2 * PAGE))
    assert numbers(await waiting)[0] == 4


async def test_a_reader_who_leaves_during_a_reading_takes_nothing_along():
    table = Table()
    feed = Feed(table.load, 0)
    table.slow.clear()
    feed.told(table.add())
    leaving = asyncio.create_task(Subscription(feed, 0).next())
    staying = asyncio.create_task(Subscription(feed, 0).next())
    assert await waits(staying)
    leaving.cancel()
    table.slow.set()
    assert numbers(await asyncio.wait_for(staying, 1)) == [1]


async def test_a_gap_is_said():
    table = Table(KEPT)
    feed = Feed(table.load, KEPT)
    place = Subscription(feed, 0)
    del table.rows[:10]
    events = await place.next()
    assert (events[0].type, events[0].sequence) == (RESYNC, None)
    assert events[0].data == {"last_event_id": 0, "oldest": 11, "newest": 110}
    assert numbers(events[1:]) == list(range(11, 111))


def progress(percent: float) -> Event:
    return said("transcription_status", {"progress": percent}, task_id=TASK)


async def test_progress_comes_after_the_events_before_it_and_only_the_latest():
    table = Table()
    feed = Feed(table.load, 0)
    place = Subscription(feed, 0)
    table.add(task_id=TASK)
    for percent in (10, 20, 30):
        feed.show(TASK, 1, progress(percent))
    # Nobody has told of event 1 yet, but the progress knows of it.
    assert numbers(await place.next()) == [1]
    [shown] = await place.next()
    assert (shown.sequence, shown.data) == (None, {"progress": 30})
    assert await waits(asyncio.create_task(place.next()))


async def test_an_event_overtakes_the_progress_of_its_task():
    table = Table()
    feed = Feed(table.load, 0)
    early, late = Subscription(feed, 0), Subscription(feed, 0)
    feed.show(TASK, 0, progress(90))
    assert [event.data for event in await early.next()] == [{"progress": 90}]
    feed.told(table.add(task_id=TASK))
    # Read before the event, shown after it.
    assert numbers(await early.next()) == [1]
    feed.show(TASK, 0, progress(95))
    assert numbers(await late.next()) == [1]
    assert await waits(asyncio.create_task(late.next()))
    assert await waits(asyncio.create_task(early.next()))


async def test_a_drain_sends_everybody_away():
    feed = Feed(Table().load, 0)
    waiting = asyncio.create_task(Subscription(feed, 0).next())
    assert await waits(waiting)
    feed.close()
    with pytest.raises(Draining):
        await waiting
    with pytest.raises(Draining):
        await Subscription(feed, 0).next()


def test_the_json_is_one_line_whatever_is_in_it():
    text = said("seen", {"name": "a\u2028b\nc\x85d"}).text
    assert text.isascii()
    assert len(text.splitlines()) == 1
