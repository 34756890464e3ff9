"""The runner knows how many replicas there are, and requests find them by the product's router."""

import time

from tests.fixtures.stack import Stack

COUNTED = "replicas counted"


def test_the_runner_counts_the_replicas_there_are(stack: Stack):
    deadline = time.monotonic() + 60
    while not (lines := counted(stack)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert lines, "the runner has not counted"
    assert "transcriber=1" in lines[-1]
    assert "speaker_segmenter=1" in lines[-1]


def counted(stack: Stack) -> list[str]:
    """What runners have said of it."""
    logs = (stack.data_dir / "logs").glob("runner*.log")
    return [line for log in logs for line in log.read_text().splitlines() if COUNTED in line]
