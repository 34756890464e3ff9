"""Exactly our own processes are found and ended: by mark, by record, with all they started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.processes import (
    MARK,
    Child,
    Mark,
    end_leftovers,
    marked,
    runs,
    with_descendants,
)
from cluster.embedded.state import Record

OURS = "00000000aaaa"
PARENT_OF_ONE = "import subprocess; subprocess.Popen(['sleep', '600']).wait()"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts marked children; ends them all at the end, whatever the test did."""
    children: list[Child] = []

    def starter(part: str, *argv: str, instance: str = OURS) -> Child:
        log = tmp_path / f"{part}.log"
        child = Child.start(Mark(instance, part), argv, {"PATH": "/usr/bin:/bin"}, log, tmp_path)
        children.append(child)
        return child

    yield starter
    for child in children:
        child.end(signal.SIGKILL, 5)


def pids(processes: list[psutil.Process]) -> set[int]:
    return {process.pid for process in processes}


def wait_for_descendants(child: Child, count: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        family = with_descendants([psutil.Process(child.process.pid)])
        if len(family) == count:
            return family
        time.sleep(0.05)
    raise AssertionError(f"no {count} processes of {child.mark}")


def test_marks_tell_installations_and_parts_apart(start) -> None:
    ray = start("ray", "sleep", "600")
    other_part = start("ray2", "sleep", "600")
    start("ray", "sleep", "600", instance="11111111bbbb")
    assert pids(marked(OURS, "ray")) == {ray.process.pid}
    assert pids(marked(OURS)) == {ray.process.pid, other_part.process.pid}


def test_what_a_child_starts_carries_its_mark(start) -> None:
    child = start("ray", sys.executable, "-c", PARENT_OF_ONE)
    family = wait_for_descendants(child, 2)
    assert pids(marked(OURS, "ray")) == pids(family)


def test_leftovers_are_ended_and_nothing_else(start) -> None:
    child = start("ray", sys.executable, "-c", PARENT_OF_ONE)
    family = wait_for_descendants(child, 2)
    stranger = start("ray", "sleep", "600", instance="11111111bbbb")
    unmarked = subprocess.Popen(["sleep", "600"])
    try:
        assert end_leftovers(child.mark, signal.SIGTERM, 10) == 2
        assert not any(runs(process) for process in family)
        assert stranger.alive()
        assert unmarked.poll() is None
    finally:
        unmarked.kill()
        unmarked.wait()


def test_orphans_are_found_when_their_parent_is_gone(start) -> None:
    child = start("ray", sys.executable, "-c", PARENT_OF_ONE)
    family = wait_for_descendants(child, 2)
    child.process.kill()
    child.process.wait()
    assert end_leftovers(child.mark, signal.SIGTERM, 10) == 1
    assert not any(runs(process) for process in family)


def test_a_recorded_process_is_ended_even_without_a_mark() -> None:
    # A shell that runs this in the background hands down an ignored SIGINT.
    with subprocess.Popen(["env", "--default-signal=INT", "sleep", "600"]) as process:
        record = Record.of(process.pid)
        assert end_leftovers(Mark(OURS, "postgres"), signal.SIGINT, 10, record) == 1
        assert process.wait(5) == -signal.SIGINT


def test_who_does_not_stop_when_asked_is_killed(start) -> None:
    child = start("objects", sys.executable, "-c", STUBBORN)
    deadline = time.monotonic() + 10
    while psutil.Process(child.process.pid).cpu_times().user < 0.01 and time.monotonic() < deadline:
        time.sleep(0.05)
    child.end(signal.SIGTERM, 0.5)
    assert not child.alive()


def test_ctrl_c_of_our_terminal_does_not_reach_children(start) -> None:
    child = start("objects", "sleep", "600")
    assert psutil.Process(child.process.pid).terminal() is None
    assert child.process.pid == os.getsid(child.process.pid)


def test_a_death_while_starting_is_told_with_its_last_words(start) -> None:
    child = start("objects", "sh", "-c", "echo starting; echo no space left >&2; exit 3")
    with pytest.raises(
        EmbeddedError, match="objects stopped while starting: no space left"
    ) as told:
        child.await_ready(lambda: False, 10)
    assert "\n" not in str(told.value)


def test_a_start_that_takes_too_long_is_told(start) -> None:
    child = start("objects", "sleep", "600")
    with pytest.raises(EmbeddedError, match="not ready after 0 s: it said nothing"):
        child.await_ready(lambda: False, 0.2)


def test_the_mark_is_what_it_says() -> None:
    assert (MARK, str(Mark("1234", "ray"))) == ("RAYSCRIBE_PART", "1234:ray")
