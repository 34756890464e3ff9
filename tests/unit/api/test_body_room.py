"""Large bodies wait for room, in order; nobody keeps room that they do not use."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.body_room import SMALL_BYTES, BodyRoom, Room
from api.request_context import RequestId

SIZE = 100


async def crowd(sizes: Sequence[int], cancelled: set[int]) -> tuple[list[int], int, Room]:
    """Everybody comes at once, some go away again; who got in, in order, and the most held."""
    room, held, most, entered = Room(SIZE), 0, 0, []

    async def visit(number: int, size: int) -> None:
        nonlocal held, most
        async with room.taken(size, 60):
            entered.append(number)
            held += min(size, SIZE)
            most = max(most, held)
            try:
                await asyncio.sleep(0)
            finally:
                held -= min(size, SIZE)

    visitors = [asyncio.create_task(visit(*each)) for each in enumerate(sizes)]
    await asyncio.sleep(0)
    for number in cancelled:
        visitors[number % len(visitors)].cancel()
    await asyncio.gather(*visitors, return_exceptions=True)
    return entered, most, room


@given(st.lists(st.integers(1, 150), min_size=1, max_size=20), st.sets(st.integers(0, 19)))
def test_there_is_never_more_in_than_fits_and_all_of_it_comes_free(sizes, cancelled):
    async def run() -> None:
        entered, most, room = await crowd(sizes, cancelled)
        assert most <= SIZE
        assert entered == sorted(entered)
        async with room.taken(SIZE, 1):
            pass

    asyncio.run(run())


async def test_without_room_the_wait_ends():
    room = Room(SIZE)
    async with room.taken(SIZE, 1):
        with pytest.raises(TimeoutError):
            async with room.taken(1, 0.01):
                pass
    async with room.taken(SIZE, 1):
        pass


class Application:
    """Reads the whole body; a test says when it answers."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.answer = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        self.reading.set()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(app, size: int, *, stall: bool = False) -> list[dict]:
    """The messages that answer a body of this size."""
    sent: list[dict] = []
    bodies = [{"type": "http.request", "body": bytes(size), "more_body": stall}]

    async def receive():
        if bodies:
            return bodies.pop()
        return await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    headers = [(b"content-length", str(size).encode())]
    scope = {"type": "http", "method": "PUT", "path": "/x", "headers": headers}
    await app(scope, receive, send)
    return sent


def guarded(inner, *, wait_seconds: float = 60, body_seconds: float = 60) -> RequestId:
    size = 2 * SMALL_BYTES
    return RequestId(BodyRoom(inner, size, wait_seconds, body_seconds, size))


async def test_a_second_large_body_is_not_read_before_the_first_is_answered():
    inner = Application()
    app = guarded(inner)
    first = asyncio.create_task(ask(app, 2 * SMALL_BYTES))
    await inner.reading.wait()
    inner.reading.clear()
    second = asyncio.create_task(ask(app, 2 * SMALL_BYTES))
    with suppress(TimeoutError):
        await asyncio.wait_for(inner.reading.wait(), 0.05)
    assert not inner.reading.is_set()
    small = asyncio.create_task(ask(app, 10))
    await inner.reading.wait()
    inner.answer.set()
    assert [(await one)[0]["status"] for one in (small, first, second)] == [200, 200, 200]


async def test_who_waits_too_long_is_told_to_come_again():
    inner = Application()
    app = guarded(inner, wait_seconds=0.01)
    first = asyncio.create_task(ask(app, 2 * SMALL_BYTES))
    await inner.reading.wait()
    assert (await ask(app, 2 * SMALL_BYTES))[0]["status"] == 503
    inner.answer.set()
    assert (await first)[0]["status"] == 200


async def test_who_sends_too_slowly_gives_the_room_up():
    app = guarded(Application(), body_seconds=0.01)
    answer = await ask(app, 2 * SMALL_BYTES, stall=True)
    assert answer[0]["status"] == 408
    assert b"body_too_slow" in answer[1]["body"]
