"""What the parts inherit: absolute paths, our packages first, no telemetry."""

import os
from pathlib import Path

import pytest

from cluster.embedded.environment import ROOT, resolve_profile, shared_environment
from cluster.embedded.installation import Installation
from cluster.embedded.state import claim
from cluster.settings import Profile, Settings


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return claim(tmp_path / "data")


def test_hidden_gpus_make_a_cpu_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert resolve_profile(Profile.auto) is Profile.cpu
    assert resolve_profile(Profile.gpu) is Profile.gpu


def test_our_packages_come_first_and_once(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    path = shared_environment(Settings(), data_dir)["PYTHONPATH"].split(os.pathsep)
    assert path == [str(ROOT), str(tmp_path)]


def test_paths_are_absolute_for_processes_that_run_elsewhere(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_CACHE_DIR", "weights")
    environment = shared_environment(Settings(), data_dir)
    assert environment["MODEL_CACHE_DIR"] == str(tmp_path / "weights")
    assert environment["RAYSCRIBE_DATA_DIR"] == str(data_dir)


def test_the_key_is_made_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = shared_environment(Settings(), data_dir)["SECRET_KEY"]
    assert shared_environment(Settings(), data_dir)["SECRET_KEY"] == first


def test_a_key_of_the_operator_is_taken(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of the operator")
    assert shared_environment(Settings(), data_dir)["SECRET_KEY"] == "of the operator"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("PYANNOTE_METRICS_ENABLED", "false"),
        ("VLLM_NO_USAGE_STATS", "1"),
        ("DO_NOT_TRACK", "1"),
    ],
)
def test_nobody_phones_home(data_dir: Path, name: str, value: str) -> None:
    assert shared_environment(Settings(), data_dir)[name] == value


def test_the_cpu_profile_asks_no_hub(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSCRIBE_PROFILE", "cpu")
    assert shared_environment(Settings(), data_dir)["HF_HUB_OFFLINE"] == "1"
    monkeypatch.setenv("RAYSCRIBE_PROFILE", "gpu")
    assert "HF_HUB_OFFLINE" not in shared_environment(Settings(), data_dir)


def test_other_commands_find_what_was_kept(data_dir: Path) -> None:
    Installation(data_dir).keep({"DATABASE_URL": "postgresql://…"}, {"api": "http://127.0.0.1:1"})
    later = Installation(data_dir)
    assert later.environment() == {"DATABASE_URL": "postgresql://…"}
    assert later.addresses() == {"api": "http://127.0.0.1:1"}
    later.forget_run()
    assert later.addresses() == {}
    assert later.environment() == {"DATABASE_URL": "postgresql://…"}
