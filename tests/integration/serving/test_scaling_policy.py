"""What Serve calls: numbers of replicas out of what the runner and the replicas say."""

from typing import Any

import pytest
from ray.serve._private.autoscaling_state import _resolve_policy_callable
from ray.serve._private.common import DeploymentID, TimeStampedValue
from ray.serve.autoscaling_policy import _apply_app_level_autoscaling_config
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from cluster.resources import application_policy
from cluster.scaling_policy import Policy, deployment_name, measured, share, waiting_key
from cluster.settings import ScalingSettings

Series = list[TimeStampedValue]
Metrics = dict[str, dict[Any, Series]]


def series(*values: float, until: float = 1000.0, every: float = 6.0) -> Series:
    first = until - every * (len(values) - 1)
    return [TimeStampedValue(first + every * n, value) for n, value in enumerate(values)]


def moment(
    name: str,
    *,
    current: int = 1,
    maximum: int = 16,
    minimum: int = 1,
    requests: float = 0.0,
    now: float = 1000.0,
    metrics: Metrics | None = None,
) -> AutoscalingContext:
    bounds = {"min_replicas": minimum, "max_replicas": maximum}
    return AutoscalingContext(
        deployment_id=DeploymentID(name, "pipelines"),
        deployment_name=name,
        app_name="pipelines",
        current_num_replicas=current,
        target_num_replicas=current,
        running_replicas=[],
        total_num_requests=requests,
        total_queued_requests=0.0,
        aggregated_metrics={},
        raw_metrics=metrics or {},
        capacity_adjusted_min_replicas=minimum,
        capacity_adjusted_max_replicas=maximum,
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=now,
        config=AutoscalingConfig(
            target_ongoing_requests=4,
            upscale_delay_s=0,
            downscale_delay_s=0,
            downscale_to_zero_delay_s=0,
            **bounds,
        ),
    )


def runner(role: str = "transcriber", **lanes: float) -> AutoscalingContext:
    waiting = {waiting_key(role, lane): {"r1": series(value)} for lane, value in lanes.items()}
    return moment("Runner", maximum=1, metrics=waiting)


def policy(**settings: Any) -> Policy:
    told = application_policy(ScalingSettings(up_seconds=0, down_seconds=1, **settings))
    return Policy(**told["policy_kwargs"])


def decide(asked: Policy, *moments: AutoscalingContext) -> dict[str, int]:
    decided, kept = asked({one.deployment_id: one for one in moments})
    assert kept == {}
    return {key.name: number for key, number in decided.items()}


def test_what_waits_is_divided_by_what_one_replica_does():
    said: Metrics = {
        "audio_seconds": {"a": series(400.0), "b": series(400.0)},
        "busy_seconds": {"a": series(10.0), "b": series(10.0)},
        "worked_seconds": {"a": series(50.0, 53.0), "b": series(50.0, 53.0)},
    }
    transcriber = moment("Transcriber", current=2, metrics=said)
    decided = decide(policy(), transcriber, runner(live=0, interactive=120_000, bulk=0))
    # 120,000 s in 600 s at 40 times real time.
    assert decided["Transcriber"] == 5


def test_until_it_is_measured_the_speed_is_what_settings_say():
    asked = policy(transcriber_rtfx=20)
    decided = decide(asked, moment("Transcriber"), runner(interactive=36_000))
    assert decided["Transcriber"] == 3


def test_what_was_measured_once_holds_while_nobody_works():
    asked = policy(transcriber_rtfx=1)
    said: Metrics = {"audio_seconds": {"a": series(400.0)}, "busy_seconds": {"a": series(10.0)}}
    decide(asked, moment("Transcriber", metrics=said), runner(interactive=0))
    later = moment("Transcriber", now=1100.0)
    assert decide(asked, later, runner(interactive=24_000))["Transcriber"] == 1


def test_without_a_word_from_the_runner_nothing_changes():
    assert decide(policy(), moment("Transcriber", current=7))["Transcriber"] == 7


def test_no_lane_that_waits_is_as_good_as_the_smallest_number():
    asked = policy()
    empty = runner(live=0.0, interactive=0.0, bulk=0.0)
    for now in range(1000, 1004):
        decided = decide(asked, moment("Transcriber", current=7, now=now), empty)
    assert decided["Transcriber"] == 1


def test_bounds_hold():
    decided = decide(policy(), moment("Transcriber", maximum=3), runner(live=1e9))
    assert decided["Transcriber"] == 3


def test_busy_replicas_stay():
    asked = policy()
    said: Metrics = {
        "audio_seconds": {"a": series(400.0)},
        "busy_seconds": {"a": series(10.0)},
        "worked_seconds": {name: series(0.0, 5.9, 11.8) for name in "abcd"},
    }
    for now in range(1000, 1010):
        transcriber = moment("Transcriber", current=4, now=now, metrics=said)
        decided = decide(asked, transcriber, runner(interactive=100.0))
    assert decided["Transcriber"] == 4


def test_roles_without_audio_go_by_requests():
    decided = decide(policy(), moment("Preparer", requests=9), runner(live=1e9))
    assert decided["Preparer"] == 3


def test_the_language_model_goes_to_zero_and_comes_back():
    asked = policy(zero_seconds=10)
    for now in range(1000, 1008):
        decided = decide(asked, moment("LanguageModel", minimum=0, now=now))
    assert decided["LanguageModel"] == 1
    for now in range(1008, 1013):
        decided = decide(asked, moment("LanguageModel", minimum=0, now=now))
    assert decided["LanguageModel"] == 0
    again = moment("LanguageModel", minimum=0, current=0, requests=1, now=1020)
    assert decide(asked, again)["LanguageModel"] == 1


def test_of_several_runners_the_latest_word_counts():
    key = waiting_key("transcriber", "interactive")
    words = {"old": series(1e6, until=990), "new": series(0.0, until=999)}
    decided = decide(policy(), moment("Transcriber"), moment("Runner", metrics={key: words}))
    assert decided["Transcriber"] == 1


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((), 0.0),
        ((5.0,), 0.0),
        ((0.0, 6.0, 12.0), 1.0),
        ((0.0, 3.0, 6.0), 0.5),
        # Two threads, or clocks that differ: nobody works more than all the time.
        ((0.0, 12.0), 1.0),
        # A counter that began anew.
        ((9.0, 0.0), 0.0),
    ],
)
def test_the_share_of_time_that_was_work(points: tuple[float, ...], expected: float):
    assert share(series(*points)) == pytest.approx(expected)


def test_replicas_that_have_done_nothing_say_nothing_of_speed():
    idle: Metrics = {"audio_seconds": {"a": series(0.0)}, "busy_seconds": {"a": series(0.0)}}
    assert measured(moment("Transcriber", metrics=idle), 12.0).rtfx == 12.0


def test_names_are_as_they_are_deployed():
    assert deployment_name("speaker_segmenter") == "SpeakerSegmenter"


def test_serve_makes_it_of_what_the_configuration_says_and_follows_it():
    # What its controller does with an application's policy, delays of its own included.
    told = application_policy(ScalingSettings(up_seconds=0, down_seconds=1))
    asked = _apply_app_level_autoscaling_config(_resolve_policy_callable(AutoscalingPolicy(**told)))
    busy: dict[str, int] = {}
    for now in range(1000, 1010):
        transcriber = moment("Transcriber", now=now, current=busy.get("Transcriber", 1))
        waiting = runner(live=60_000.0 if now < 1003 else 0.0)
        numbers, _ = asked({one.deployment_id: one for one in (transcriber, waiting)})
        busy = {key.name: number for key, number in numbers.items()}
        if now == 1002:
            assert busy == {"Transcriber": 16, "Runner": 1}
    assert busy == {"Transcriber": 1, "Runner": 1}
