"""Notices that Serve lets go of this replica, so that those who listen connect elsewhere in time.

A replica that is to go gets no further requests, and has until its grace is over to end those it
has. Streams of events never end by themselves: they would be cut off at the end of that time. Serve
tells an application nothing of it, but asks a replica that is to go no longer whether it is well.
"""

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

ASKED_EVERY_SECONDS = 2
MISSED = 5
"""So many questions in a row: one may be late on a busy machine."""
LOOK_SECONDS = 0.5


class Attendance:
    """Whether Serve still asks. Time counts only while this process's loop has time to look."""

    def __init__(self, look_seconds: float = LOOK_SECONDS) -> None:
        self._look_seconds = look_seconds
        self._silent_looks: int | None = None

    def asked(self) -> None:
        """Serve asks."""
        self._silent_looks = 0

    async def watch(self, let_go: Callable[[], None]) -> None:
        """Call `let_go` once for each time that Serve falls silent, until cancelled.

        It may be the controller that is away: whoever listened comes back here then.
        """
        while True:
            await asyncio.sleep(self._look_seconds)
            if self._silent_looks is None:
                continue
            self._silent_looks += 1
            if self._silent_looks == MISSED * ASKED_EVERY_SECONDS / LOOK_SECONDS:
                log.info("Serve asks no longer: streams are sent away")
                let_go()
