"""A replica that Serve lets go of notices it, once."""

import asyncio

from api.attendance import ASKED_EVERY_SECONDS, LOOK_SECONDS, MISSED, Attendance

LOOKS = int(MISSED * ASKED_EVERY_SECONDS / LOOK_SECONDS)


async def look(times: int) -> None:
    """Let the watch look so often: it waits for no longer than a turn of the loop here."""
    for _ in range(2 * times):
        await asyncio.sleep(0)


async def test_streams_are_sent_away_once_when_serve_falls_silent():
    left: list[None] = []
    attendance = Attendance(look_seconds=0)
    watch = asyncio.create_task(attendance.watch(lambda: left.append(None)))
    # A replica that starts has not been asked yet.
    await look(10 * LOOKS)
    assert left == []
    for _ in range(10):
        attendance.asked()
        await look(LOOKS // 4)
    assert left == []
    await look(10 * LOOKS)
    assert len(left) == 1
    # It was the controller that was away, and is again.
    attendance.asked()
    await look(10 * LOOKS)
    assert len(left) == 2
    watch.cancel()
