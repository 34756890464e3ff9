"""`rayscribe serve-config`: the configuration on standard output, or in a manifest."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rayscribe.__main__ import app

SETTINGS = """kind: ConfigMap
data:
  RAYSCRIBE_PORT: "7000"
  RAYSCRIBE_EVERY_NODE: "true"
  RAYSCRIBE_LLM_LOCAL: "true"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    """A ConfigMap; the command changes the environment of its process, which is ours here."""
    before = dict(os.environ)
    # What this shell says does not count beside a manifest.
    os.environ["RAYSCRIBE_HOST"] = "1.2.3.4"
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    yield path
    os.environ.clear()
    os.environ.update(before)


def test_it_is_what_a_config_map_comes_to(settings: Path) -> None:
    done = CliRunner().invoke(app, ["serve-config", "--settings", str(settings)])
    assert done.exit_code == 0, done.output
    told = yaml.safe_load(done.stdout)
    assert told["proxy_location"] == "EveryNode"
    assert told["http_options"]["port"] == 7000
    assert told["http_options"]["host"] == "127.0.0.1"
    assert [one["name"] for one in told["applications"]] == ["pipelines", "api", "language"]


def test_it_is_written_into_a_manifest(settings: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "service.yaml"
    manifest.write_text("kind: RayService\nspec:\n  serveConfigV2: |\n    {}\n")
    command = ["serve-config", "--settings", str(settings), "--into", str(manifest)]
    assert CliRunner().invoke(app, command).exit_code == 0
    [document] = yaml.safe_load_all(manifest.read_text())
    assert yaml.safe_load(document["spec"]["serveConfigV2"])["http_options"]["port"] == 7000


def test_what_is_no_manifest_is_said_in_a_line(settings: Path) -> None:
    command = ["serve-config", "--settings", str(settings), "--into", str(settings)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "0 lines say `serveConfigV2: |`" in done.stderr
    assert settings.read_text() == SETTINGS
