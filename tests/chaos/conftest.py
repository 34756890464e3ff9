"""The service that is disturbed: fake models that take their time."""

from collections.abc import Iterator

import pytest

from tests.fixtures.stack import Stack, running

ENVIRONMENT = {
    # Eleven windows of the recording, two at a time: long enough to hit it in their middle.
    "RAYSCRIBE_FAKE_SECONDS": "1",
    "BATCH_SIZE": "1",
    # Ten blocks, so that the decoding has a middle too.
    "RAYSCRIBE_BLOCK_SECONDS": "30",
    # A dead runner's task is taken up sooner than by default.
    "RAYSCRIBE_RUNNER_LEASE_SECONDS": "15",
    "RAYSCRIBE_RUNNER_HEARTBEAT_SECONDS": "3",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A rayscribe with slow fake models."""
    with running(Stack(tmp_path_factory.mktemp("stack"), environment=ENVIRONMENT)) as started:
        yield started
