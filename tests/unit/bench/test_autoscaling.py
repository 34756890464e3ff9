"""What the bench of autoscaling makes of its looks, which are not evenly apart."""

import pytest

from tests.bench.autoscaling import QUIET_SECONDS, Look, Trace


def trace(*looks: tuple[float, int]) -> Trace:
    made = Trace("scaled", step_at=0.0, done_at=looks[-1][0], waited=[1.0], took=[2.0])
    made.audio_seconds = 60.0
    made.looks = [Look(at, running, running, 0, 0.0) for at, running in looks]
    return made


def test_replicas_count_for_as_long_as_they_ran():
    figures = trace((0, 1), (1, 4), (6, 2), (10, 2)).figures(rtfx=10, until=10)
    assert figures["replica_seconds"] == 1 * 1 + 4 * 5 + 2 * 4
    assert figures["over_provisioned"] == pytest.approx(29 / 6, abs=0.01)


def test_an_arm_that_ended_sooner_is_counted_on_as_it_stood():
    figures = trace((0, 8), (10, 1)).figures(rtfx=10, until=30)
    assert figures["replica_seconds"] == 8 * 10 + 1 * 20


def test_it_is_settled_when_nothing_changed_for_the_quiet_time():
    slow = trace(*((3.0 * n, 4 if n < 5 else 1) for n in range(40)))
    assert slow.settled(now=13 + QUIET_SECONDS, fewest=1)
    assert not slow.settled(now=11 + QUIET_SECONDS, fewest=1)
    assert not slow.settled(now=13 + QUIET_SECONDS, fewest=2)


def test_without_a_look_nothing_is_known():
    assert not trace((0, 1)).settled(now=1 + QUIET_SECONDS, fewest=1)
