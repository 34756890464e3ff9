"""Replicas and their shares: no GPU where there is none, no silence where it does not fit."""

from collections.abc import Callable

import pytest

from cluster.resources import (
    ON_GPU,
    Bounds,
    DoesNotFit,
    Role,
    bounds,
    check_fit,
    deployment_options,
    ray_actor_options,
)
from cluster.settings import Settings

Make = Callable[..., Settings]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(**variables: object) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        return Settings()

    return make


@pytest.mark.parametrize("role", Role)
def test_no_role_asks_for_a_gpu_where_there_is_none(role: Role, settings: Make) -> None:
    assert "num_gpus" not in ray_actor_options(role, settings(), gpus=0)


@pytest.mark.parametrize("role", Role)
def test_models_share_gpus_where_there_are_some(role: Role, settings: Make) -> None:
    options = ray_actor_options(role, settings(RAYSCRIBE_REPLICAS_NUM_GPUS=0.25), gpus=1)
    share = 1.0 if role is Role.language_model else 0.25
    assert options.get("num_gpus") == (share if role in ON_GPU else None)


def test_the_defaults_fit_on_two_cores(settings: Make) -> None:
    check_fit(settings(), cpus=2, gpus=0)


def test_too_many_cpus_are_refused_with_the_variable_to_lower(settings: Make) -> None:
    with pytest.raises(DoesNotFit, match="RAYSCRIBE_REPLICAS_NUM_CPUS"):
        check_fit(settings(RAYSCRIBE_REPLICAS_NUM_CPUS=1), cpus=2, gpus=0)


def test_too_many_gpus_are_refused(settings: Make) -> None:
    with pytest.raises(DoesNotFit, match="ask for 5 GPUS and the cluster has 1"):
        check_fit(settings(RAYSCRIBE_REPLICAS_NUM_GPUS=1), cpus=64, gpus=1)


def test_bounds_come_from_settings(settings: Make) -> None:
    assert bounds(Role.transcriber, settings(RAYSCRIBE_REPLICAS_TRANSCRIBER_MAX=3)) == Bounds(1, 3)


def test_bounds_in_the_wrong_order_are_refused(settings: Make) -> None:
    wrong = settings(RAYSCRIBE_REPLICAS_ALIGNER_MIN=3, RAYSCRIBE_REPLICAS_ALIGNER_MAX=2)
    with pytest.raises(DoesNotFit, match="ALIGNER_MIN=3 exceeds RAYSCRIBE_REPLICAS_ALIGNER_MAX=2"):
        bounds(Role.aligner, wrong)


def test_the_runner_is_not_autoscaled(settings: Make) -> None:
    options = deployment_options(Role.runner, settings(RAYSCRIBE_RUNNER_REPLICAS=2), gpus=0)
    assert options["num_replicas"] == 2
    assert "autoscaling_config" not in options


def test_a_range_is_autoscaled(settings: Make) -> None:
    options = deployment_options(Role.preparer, settings(), gpus=0, target_requests=4)
    assert options["autoscaling_config"] == {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 4,
    }
    assert "num_replicas" not in options


@pytest.mark.parametrize("role", Role)
def test_a_frozen_model_replica_is_given_up_within_forty_seconds(
    role: Role, settings: Make
) -> None:
    options = deployment_options(role, settings(), gpus=0)
    if role in {Role.runner, Role.api}:
        assert "health_check_timeout_s" not in options
        return
    period, timeout = options["health_check_period_s"], options["health_check_timeout_s"]
    # That it takes three failures is seen in tests/integration/serving/test_stuck_batches.py.
    assert period + 3 * timeout <= 40
