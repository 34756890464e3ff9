"""The service that is disturbed: fake models that take their time, two runners."""

from collections.abc import Iterator

import pytest

from tests.chaos.report import Report
from tests.chaos.tasks import Quiet, await_end, exported, submit, windows_transcribed
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
    "RAYSCRIBE_RUNNER_REPLICAS": "2",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A rayscribe with slow fake models, which write down what they were given."""
    folder = tmp_path_factory.mktemp("stack")
    journal = {"RAYSCRIBE_FAKE_JOURNAL": str(folder / "journal")}
    with running(Stack(folder, environment={**ENVIRONMENT, **journal})) as started:
        yield started


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """What every fault did, shown at the end."""
    collected = Report()
    yield collected
    collected.show()


@pytest.fixture(scope="session")
def quiet(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    """What the recording becomes when nothing dies."""
    before = windows_transcribed(stack)
    submitted = submit(stack, tmp_path_factory.mktemp("undisturbed"))
    task = await_end(stack, submitted.task_id)
    assert (task["state"], task["attempt"]) == ("completed", 1)
    [file] = stack.query("select thumbnail_key from media_file where id = $1", submitted.file_id)
    assert file["thumbnail_key"]
    return Quiet(exported(stack, submitted.file_id), windows_transcribed(stack) - before)
