"""What a change of settings makes of Serve's configuration, and which changes are refused."""

import json

import pytest

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.rolling import (
    SURGE,
    changed,
    changes_in,
    changes_models,
    check_changes,
    with_runners_waiting,
)
from cluster.serve_config import cluster_config
from cluster.settings import ScalingSettings, Settings


@pytest.fixture
def config() -> dict:
    return cluster_config(Settings())


def environments(config: dict) -> list[dict[str, str]]:
    return [one.get("runtime_env", {}).get("env_vars", {}) for one in config["applications"]]


def test_every_application_is_told(config: dict):
    told = changed(config, {"RAYSCRIBE_MAX_TAGS_PER_FILE": "5"}, ScalingSettings())
    assert all(one == {"RAYSCRIBE_MAX_TAGS_PER_FILE": "5"} for one in environments(told))
    assert environments(config) == [{}] * len(config["applications"])


def test_earlier_changes_hold(config: dict):
    once = changed(config, {"RAYSCRIBE_BEAM_SIZE": "1"}, ScalingSettings())
    twice = changed(once, {"RAYSCRIBE_BEAM_SIZE": "2", "BATCH_SIZE": "8"}, ScalingSettings())
    assert changes_in(twice) == {"RAYSCRIBE_BEAM_SIZE": "2", "BATCH_SIZE": "8"}
    assert changes_in(config) == {}


@pytest.mark.parametrize("own", [{}, {SURGE: "50"}], ids=["default", "the operator's"])
def test_without_room_there_is_no_surge_this_time_only(config: dict, own: dict[str, str]):
    once = changed(config, own, ScalingSettings(), in_place=True)
    assert [one[SURGE] for one in environments(once)] == ["0"] * len(config["applications"])
    assert changes_in(once) == own
    twice = changed(once, {"BATCH_SIZE": "8"}, ScalingSettings())
    assert environments(twice)[0] == {**own, "BATCH_SIZE": "8"}


def test_goals_of_autoscaling_change_with_it(config: dict):
    told = changed(config, {}, ScalingSettings(bulk_goal_seconds=7))
    policies = [one["autoscaling_policy"] for one in told["applications"] if one["name"] != "api"]
    assert [one["policy_kwargs"]["goals"]["bulk"] for one in policies] == [7] * len(policies)


def test_runners_wait_and_nothing_else_changes(config: dict):
    told = with_runners_waiting(config)
    [runners] = [one for one in told["applications"] if one["name"] == "pipelines"]
    assert runners["deployments"][0]["user_config"]["claims"] is False
    del runners["deployments"]
    assert json.dumps(told) == json.dumps(config)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RAYSCRIBE_NOTHING", "is no setting"),
        ("PATH", "is no setting"),
        ("SECRET_KEY", "is a secret"),
        ("RAYSCRIBE_PORT", "is of the start"),
        ("RAYSCRIBE_RAY_NUM_CPUS", "is of the start"),
        ("MODEL_CACHE_DIR", "is of the start"),
    ],
)
def test_what_cannot_be_changed_is_refused(name: str, reason: str):
    with pytest.raises(EmbeddedError, match=reason):
        check_changes({name: "1"})


MODELS = ["WHISPER_MODEL", "RAYSCRIBE_WHISPER_MODEL", "RAYSCRIBE_BEAM_SIZE"]


@pytest.mark.parametrize("name", MODELS)
def test_models_are_changed_with_waiting_runners(name: str):
    check_changes({name: "1"})
    assert changes_models({name: "1"})


@pytest.mark.parametrize("name", ["RAYSCRIBE_SCALING_UP_SECONDS", "RAYSCRIBE_RUNNER_REPLICAS"])
def test_other_settings_are_changed_beside_running_tasks(name: str):
    check_changes({name: "1"})
    assert not changes_models({name: "1"})
