"""Settings change under load: every replica is another one, no request failed, no task was lost."""

import json
import sys
from pathlib import Path

import pytest

from tests.chaos.load import RESTART, Load
from tests.chaos.tasks import await_end, transcripts
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

ROLLED = (
    # Everything at once, the models unchanged: old and new replicas work side by side.
    ("update", "--restart"),
    # What results differ by: no task may meet both.
    ("update", "RAYSCRIBE_BEAM_SIZE=4"),
)


def replicas(stack: Stack) -> set[int]:
    return {process.pid for process in stack.processes("ServeReplica:")}


def test_a_rolling_update_fails_no_request_and_loses_no_task(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    stack.await_health()
    load, told = Load(stack, tmp_path), []
    with load.running():
        for command in ROLLED:
            before = replicas(stack)
            shown = stack.command(*command).stdout
            assert "updated in" in shown
            told.append(shown.splitlines()[-1])
            assert not before & replicas(stack)
    assert load.failures == []
    assert load.answered > 100
    for task_id in load.tasks:
        task = await_end(stack, task_id)
        assert (task["state"], task["error_message"]) == ("completed", None)
        assert transcripts(stack, task) == 1
    # Streams were told to go elsewhere, and missed nothing.
    assert set(load.closed) == {RESTART}
    assert load.heard == list(range(load.heard[0], load.heard[-1] + 1))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{load.answered} requests, {len(load.tasks)} recordings, {len(load.heard)} events, "
            f"{len(load.closed)} connections moved; {'; '.join(told)}\n"
        )


def test_what_cannot_be_changed_is_refused_with_what_to_do(stack: Stack):
    for change, reason in (
        ("RAYSCRIBE_PORT=80", "is of the start"),
        ("SECRET_KEY=x", "is a secret"),
        ("RAYSCRIBE_NONSENSE=1", "is no setting"),
    ):
        answer = stack.command("update", change, check=False)
        assert answer.returncode == 1
        assert reason in answer.stderr
    assert stack.command("update", "RAYSCRIBE_BEAM_SIZE=no", check=False).returncode == 2


def test_a_change_that_does_not_fit_leaves_everything_as_it_was(stack: Stack):
    before = replicas(stack)
    told = (stack.data_dir / "serve.json").read_text()
    change = "RAYSCRIBE_REPLICAS_TRANSCRIBER_MIN=3"
    answer = stack.command("update", change, check=False)
    assert answer.returncode == 1
    assert "exceeds RAYSCRIBE_REPLICAS_TRANSCRIBER_MAX" in answer.stderr
    assert replicas(stack) == before
    assert json.loads(told) == json.loads((stack.data_dir / "serve.json").read_text())
