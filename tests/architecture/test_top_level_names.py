"""Nobody else on the path owns one of our top-level names (docs/adr/0002)."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("api", "cluster", "db", "pipelines", "rayscribe", "serving", "tests")


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_ours(name):
    owners = [
        Path(entry) / name
        for entry in sys.path
        if entry
        and ((Path(entry) / name / "__init__.py").exists() or (Path(entry) / f"{name}.py").exists())
    ]
    assert {owner.resolve() for owner in owners} == {(ROOT / name).resolve()}


@pytest.mark.parametrize("name", NAMES[:-1])
def test_the_name_is_what_python_imports(name):
    assert Path(__import__(name).__file__).is_relative_to(ROOT)
