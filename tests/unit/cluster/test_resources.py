"""Replicas and their shares: no GPU where there is none, no silence where it does not fit."""

from collections.abc import Callable

import pytest

from cluster.resources import (
    BY_AUDIO,
    ON_GPU,
    POOL_LABEL,
    Bounds,
    DoesNotFit,
    Role,
    application_policy,
    bounds,
    check_fit,
    deployment_options,
    fits_beside,
    ray_actor_options,
)
from cluster.settings import MIB, Settings
from serving.speech import LANES

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
    options = ray_actor_options(role, settings(RAYSCRIBE_REPLICAS_TRANSCRIBER_GPUS=0.7), gpus=1)
    assert ("num_gpus" in options) == (role in ON_GPU)
    if role is Role.transcriber:
        assert options["num_gpus"] == 0.7


def test_one_of_each_speech_model_fits_on_a_gpu(settings: Make) -> None:
    check_fit(settings(), cpus=2, gpus=1)


def test_memory_is_what_was_measured_in_the_cpu_profile(settings: Make) -> None:
    assert ray_actor_options(Role.transcriber, settings(), gpus=0)["memory"] == 1024 * MIB
    set_ = settings(RAYSCRIBE_REPLICAS_TRANSCRIBER_MEMORY_MIB=4096)
    assert ray_actor_options(Role.transcriber, set_, gpus=1)["memory"] == 4096 * MIB


@pytest.mark.parametrize("role", Role)
def test_nobody_asks_for_memory_that_was_not_measured(role: Role, settings: Make) -> None:
    assert "memory" not in ray_actor_options(role, settings(), gpus=1)
    assert "memory" not in ray_actor_options(role, settings(RAYSCRIBE_ENGINES="fake"), gpus=0)


def test_too_much_memory_is_refused_with_the_variables_to_lower(settings: Make) -> None:
    with pytest.raises(DoesNotFit, match=r"MIB of memory.*_MEMORY_MIB"):
        check_fit(settings(), cpus=2, gpus=0, memory=4096 * MIB)


def test_the_defaults_fit_into_eight_gib(settings: Make) -> None:
    has = 8192 * MIB - settings().ray.object_store_bytes
    check_fit(settings(), cpus=2, gpus=0, memory=has)


def test_the_defaults_fit_on_two_cores(settings: Make) -> None:
    check_fit(settings(), cpus=2, gpus=0)


def test_too_many_cpus_are_refused_with_the_variable_to_lower(settings: Make) -> None:
    with pytest.raises(DoesNotFit, match="RAYSCRIBE_REPLICAS_NUM_CPUS"):
        check_fit(settings(RAYSCRIBE_REPLICAS_NUM_CPUS=1), cpus=2, gpus=0)


def test_too_many_gpus_are_refused(settings: Make) -> None:
    with pytest.raises(DoesNotFit, match=r"ask for 1\.6 GPUS and the cluster has 1"):
        check_fit(settings(RAYSCRIBE_REPLICAS_TRANSCRIBER_GPUS=1), cpus=64, gpus=1)


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


def test_the_runner_says_what_waits_where_that_decides_anything(settings: Make) -> None:
    made = settings(RAYSCRIBE_RUNNER_REPLICAS=2, RAYSCRIBE_REPLICAS_TRANSCRIBER_MAX=4)
    told = deployment_options(Role.runner, made, gpus=0)["autoscaling_config"]
    assert (told["min_replicas"], told["max_replicas"]) == (2, 2)


def test_an_update_needs_room_for_one_more(settings: Make) -> None:
    assert fits_beside(settings(), cpus=2, gpus=0, memory=16384 * MIB)
    assert not fits_beside(settings(), cpus=2, gpus=0, memory=7500 * MIB)
    crowded = settings(RAYSCRIBE_REPLICAS_NUM_CPUS=0.21)
    assert not fits_beside(crowded, cpus=2, gpus=0, memory=16384 * MIB)


def test_a_range_is_autoscaled_by_our_policy_without_delays_of_serve(settings: Make) -> None:
    options = deployment_options(Role.preparer, settings(), gpus=0, target_requests=4)
    assert options["autoscaling_config"] == {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 4,
        "look_back_period_s": settings().scaling.report_seconds,
        "upscale_delay_s": 0,
        "downscale_delay_s": 0,
        "downscale_to_zero_delay_s": 0,
    }
    assert "num_replicas" not in options


@pytest.mark.parametrize("role", Role)
def test_an_update_starts_the_new_replica_first_unless_a_gpu_is_held(
    role: Role, settings: Make
) -> None:
    assert deployment_options(role, settings(), gpus=0)["max_surge_percent"] == 100
    assert ("max_surge_percent" in deployment_options(role, settings(), gpus=1)) == (
        role not in ON_GPU
    )


def test_the_policy_knows_every_role_that_goes_by_audio(settings: Make) -> None:
    told = application_policy(settings(RAYSCRIBE_SCALING_ALIGNER_RTFX=33).scaling)["policy_kwargs"]
    assert set(told["rtfx"]) == {str(role) for role in BY_AUDIO}
    assert told["rtfx"]["aligner"] == 33
    assert list(told["goals"]) == [str(lane) for lane in LANES]


@pytest.mark.parametrize("role", Role)
def test_replicas_go_to_nodes_of_their_kind_where_nodes_have_kinds(
    role: Role, settings: Make
) -> None:
    assert "label_selector" not in deployment_options(role, settings(), 1)["ray_actor_options"]
    told = settings(RAYSCRIBE_REPLICAS_POOLS="true")
    kind = "llm" if role is Role.language_model else "gpu" if role in ON_GPU else "cpu"
    options = deployment_options(role, told, 1)["ray_actor_options"]
    assert options["label_selector"] == {POOL_LABEL: kind}
    on_cpus = deployment_options(role, told, 0)["ray_actor_options"]
    assert on_cpus["label_selector"] == {POOL_LABEL: "llm" if kind == "llm" else "cpu"}


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
