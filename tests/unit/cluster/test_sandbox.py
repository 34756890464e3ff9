"""The sandbox bounds what a program may use, shows it nothing, and leaves nothing behind."""

import os
import socket
import tempfile
import time
from dataclasses import replace

import psutil
import pytest

from cluster.sandbox import (
    Isolation,
    Resource,
    Sandbox,
    SandboxLimits,
    SandboxUnavailable,
    isolation,
    isolations,
)

MIB = 1024 * 1024
DETACHED = "271828"
"""Seconds that a program sleeps: it is found by them."""
LIMITS = SandboxLimits(memory_bytes=256 * MIB, wall_seconds=10, output_bytes=MIB)


def _named(isolation: Isolation) -> str:
    cuts = {
        "network": isolation.network_isolated,
        "processes": isolation.processes_isolated,
        "nobody": isolation.own_user,
    }
    return "+".join(name for name, cut in cuts.items() if cut) or "limits"


@pytest.fixture(scope="module", params=list(isolations()), ids=_named)
def sandbox(request):
    """With each isolation that this machine allows, the weakest too."""
    return Sandbox(request.param)


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_output_and_status_come_back(sandbox):
    output, ended = sandbox.run(shell("echo out; echo err >&2; exit 3"), LIMITS)

    assert output == b"out\n"
    assert (ended.stderr, ended.returncode, ended.exceeded) == ("err\n", 3, None)
    assert not ended.succeeded


def test_output_larger_than_a_pipe_comes_in_the_sizes_asked_for(sandbox):
    with sandbox.start(shell("yes 1234567 | head -c 500000"), LIMITS) as process:
        sizes = [len(process.read(200_000)) for _ in range(4)]
        assert process.finish().succeeded

    assert sizes == [200_000, 200_000, 100_000, 0]


def test_environment_is_empty(sandbox, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "visible")

    output, _ = sandbox.run(["env"], LIMITS)

    assert {line.split(b"=")[0] for line in output.splitlines()} <= {b"PATH", b"LC_ALL"}


def test_only_passed_descriptors_are_inherited(sandbox):
    with tempfile.TemporaryFile() as passed, tempfile.TemporaryFile() as kept:
        os.fchmod(passed.fileno(), 0o644)
        os.set_inheritable(kept.fileno(), True)
        passed.write(b"media")
        passed.flush()
        output, _ = sandbox.run(
            shell(f"cat /dev/fd/{passed.fileno()}; test -e /dev/fd/{kept.fileno()} || echo none"),
            LIMITS,
            pass_fds=[passed.fileno()],
        )

    assert output == b"medianone\n"


def test_too_much_memory(sandbox):
    output, ended = sandbox.run(["tail", "/dev/zero"], LIMITS)

    assert output == b""
    assert ended.exceeded is Resource.memory


def test_too_much_time_while_the_reader_waits(sandbox):
    limits = SandboxLimits(memory_bytes=256 * MIB, wall_seconds=0.3, output_bytes=MIB)

    output, ended = sandbox.run(shell("echo started; sleep 60"), limits)

    assert output == b"started\n"
    assert ended.exceeded is Resource.time


def test_a_program_that_closes_its_pipes_cannot_outlive_its_time(sandbox):
    limits = SandboxLimits(memory_bytes=256 * MIB, wall_seconds=0.3, output_bytes=MIB)

    _, ended = sandbox.run(shell("exec >&- 2>&-; sleep 60"), limits)

    assert ended.exceeded is Resource.time


def test_a_slow_reader_does_not_cost_the_program_its_time(sandbox):
    limits = SandboxLimits(memory_bytes=256 * MIB, wall_seconds=0.5, output_bytes=MIB)

    with sandbox.start(shell("head -c 900000 /dev/zero"), limits) as process:
        time.sleep(0.8)
        assert len(process.read(900_000)) == 900_000
        assert process.finish().succeeded


def test_cpu_seconds_are_bounded_even_while_nobody_reads(sandbox):
    limits = SandboxLimits(memory_bytes=256 * MIB, wall_seconds=6.5, output_bytes=MIB)

    output, _ = sandbox.run(shell("ulimit -St; ulimit -Ht"), limits)

    assert output == b"8\n8\n"


def test_being_killed_by_the_kernel_is_told_from_failing(sandbox):
    _, ended = sandbox.run(shell("kill -KILL $$"), LIMITS)

    assert ended.exceeded is Resource.killed


def test_too_much_output(sandbox):
    limits = SandboxLimits(memory_bytes=256 * MIB, wall_seconds=10, output_bytes=1000)

    output, ended = sandbox.run(["yes"], limits)

    assert len(output) == 1000
    assert ended.exceeded is Resource.output


def test_endless_complaints_are_bounded_and_do_not_block(sandbox):
    _, ended = sandbox.run(shell("yes complaint | head -c 2000000 >&2"), LIMITS)

    assert ended.succeeded
    assert len(ended.stderr) == 16 * 1024


def test_no_file_can_be_written(sandbox, tmp_path):
    tmp_path.chmod(0o777)
    target = tmp_path / "written"

    sandbox.run(shell(f"head -c 100000 /dev/zero > {target}"), LIMITS)

    assert not target.exists() or target.stat().st_size == 0


def sleepers() -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if each.info["cmdline"] == ["sleep", DETACHED]]


def started(count: int) -> list[psutil.Process]:
    while len(found := sleepers()) < count:
        time.sleep(0.01)
    return found


def test_leaving_early_kills_the_program_and_what_it_started(sandbox):
    with sandbox.start(shell(f"sleep {DETACHED} & sleep {DETACHED}"), LIMITS) as process:
        programs = [psutil.Process(process.pid), *started(2)]

    _, alive = psutil.wait_procs(programs, timeout=5)
    assert alive == []


def test_what_a_finished_program_left_running_is_killed(sandbox):
    _, ended = sandbox.run(shell(f"sleep {DETACHED} >&- 2>&- & :"), LIMITS)

    assert ended.succeeded
    assert psutil.wait_procs(sleepers(), timeout=5)[1] == []


def test_what_detached_itself_is_killed_where_the_sandbox_says_so(sandbox):
    script = f"setsid sleep {DETACHED} >&- 2>&- & sleep {DETACHED}"
    with sandbox.start(shell(script), LIMITS):
        programs = started(2)

    _, alive = psutil.wait_procs(programs, timeout=5 if sandbox.processes_isolated else 0.5)
    for process in alive:
        process.kill()
    assert bool(alive) != sandbox.processes_isolated


def test_the_strongest_isolation_is_taken():
    assert isolation() == next(isolations())


def test_network_is_cut_where_the_sandbox_says_so(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as canary:
        port = canary.getsockname()[1]
        _, ended = sandbox.run(["bash", "-c", f"echo hello > /dev/tcp/127.0.0.1/{port}"], LIMITS)
        assert ended.succeeded != sandbox.network_isolated
        if sandbox.network_isolated:
            canary.settimeout(0.2)
            with pytest.raises(TimeoutError):
                canary.accept()


def test_root_is_dropped_where_the_sandbox_says_so(sandbox):
    output, _ = sandbox.run(["id", "-u"], LIMITS)

    assert (int(output) != os.geteuid()) == sandbox.own_user


def test_new_privileges_are_refused(sandbox):
    output, _ = sandbox.run(["grep", "NoNewPrivs", "/proc/self/status"], LIMITS)

    assert output.split() == [b"NoNewPrivs:", b"1"]


def test_a_file_that_may_be_written_grows_no_further_than_allowed(sandbox):
    with tempfile.TemporaryFile() as file:
        os.fchmod(file.fileno(), 0o666)
        limits = replace(LIMITS, file_bytes=100_000)
        copy = ["dd", "if=/dev/zero", f"of=/dev/fd/{file.fileno()}", "bs=50000", "status=none"]

        _, fits = sandbox.run([*copy, "count=2"], limits, pass_fds=[file.fileno()])
        _, too_large = sandbox.run([*copy, "count=9"], limits, pass_fds=[file.fileno()])
        _, forbidden = sandbox.run([*copy, "count=1"], LIMITS, pass_fds=[file.fileno()])

        assert fits.succeeded
        assert too_large.exceeded is forbidden.exceeded is Resource.output
        assert os.fstat(file.fileno()).st_size <= 100_000


def test_a_missing_program_is_named(sandbox):
    with pytest.raises(SandboxUnavailable, match="no-such-program"):
        sandbox.run(["no-such-program"], LIMITS)


def test_descriptors_are_given_back(sandbox):
    sandbox.run(["true"], LIMITS)
    before = psutil.Process().num_fds()

    for _ in range(5):
        sandbox.run(["true"], LIMITS)

    assert psutil.Process().num_fds() == before
