"""What Serve is told follows from Settings and holds no secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.serve_config import Application, serve_config
from cluster.settings import ApiSettings, LogSettings

Config = dict[str, Any]


@pytest.fixture
def config() -> Config:
    return serve_config(
        ApiSettings(host="127.0.0.1", port=5174), LogSettings(log_format="json"), Path("/logs")
    )


def test_two_applications_by_import_path(config: Config) -> None:
    told = {
        entry["name"]: (entry["import_path"], entry["route_prefix"])
        for entry in config["applications"]
    }
    assert told == {
        "pipelines": ("pipelines.app:build", None),
        "api": ("api.app:build", "/"),
    }


def test_builders_get_no_arguments_and_so_no_secrets(config: Config) -> None:
    assert [entry["args"] for entry in config["applications"]] == [{}, {}]


def test_the_door_is_where_settings_say(config: Config) -> None:
    assert config["http_options"]["host"] == "127.0.0.1"
    assert config["http_options"]["port"] == 5174


def test_logs_go_where_told_in_the_form_told(config: Config) -> None:
    assert config["logging_config"]["logs_dir"] == "/logs"
    assert config["logging_config"]["encoding"] == "JSON"


def test_other_applications_can_be_named() -> None:
    config = serve_config(ApiSettings(), LogSettings(), None, [Application("x", "x:build", "/x")])
    assert [entry["name"] for entry in config["applications"]] == ["x"]


def test_is_json(config: Config) -> None:
    assert json.loads(json.dumps(config)) == config
