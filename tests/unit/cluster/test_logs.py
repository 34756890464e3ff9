"""One line per event, with its part and the ids that are bound."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from cluster import logs
from cluster.settings import LogSettings

Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Events]:
    """What a process writes to its log, as JSON."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure(LogSettings(log_format="json", log_dir=tmp_path), "runner")

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "runner.log").read_text().splitlines()]

    yield read
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def test_an_event_carries_its_part_its_time_and_its_values(lines: Events) -> None:
    structlog.get_logger("x").info("claimed", task="7")
    (event,) = lines()
    assert event["event"] == "claimed"
    assert event["part"] == "runner"
    assert event["task"] == "7"
    assert event["level"] == "info"
    assert event["at"].endswith("Z")


def test_libraries_write_in_the_same_form(lines: Events) -> None:
    logging.getLogger("some.library").warning("careful: %s", "hot")
    (event,) = lines()
    assert (event["event"], event["logger"], event["part"]) == (
        "careful: hot",
        "some.library",
        "runner",
    )


def test_bound_ids_follow_the_task_and_end_with_it(lines: Events) -> None:
    async def work(request_id: str) -> None:
        with logs.bound(request_id=request_id):
            await asyncio.sleep(0)
            structlog.get_logger("x").info("inside")

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(both())
    structlog.get_logger("x").info("outside")
    events = lines()
    assert sorted(event.get("request_id", "-") for event in events) == ["-", "a", "b"]


def test_an_exception_is_one_line(lines: Events) -> None:
    try:
        int("no")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (event,) = lines()
    assert "ValueError: invalid literal" in event["exception"]
