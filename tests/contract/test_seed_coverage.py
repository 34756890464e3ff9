"""docs/seed-coverage.md tells the truth: what it names is there."""

import re
from pathlib import Path

import pytest

from cluster.settings import Group
from cluster.settings_docs import variables
from tests.contract.document import operations

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "seed-coverage.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith(("| the seed", "| ---"))
]
CODE = re.compile(r"`([^`]+)`")
ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)")
WITHOUT_TEST = re.compile(r"issue \d|left out: ")
"""What is built later, or left out, with its reason, has no test."""


def test_every_row_has_three_cells():
    assert len(ROWS) > 150
    assert not [row for row in ROWS if len(row) != 3]


@pytest.mark.parametrize("cell", [1])
def test_every_route_named_as_ours_exists(cell: int):
    known = {re.sub(r"\{\w+\}", "{}", operation.name) for operation in operations()}
    for row in ROWS:
        for method, path in ROUTE.findall(" ".join(CODE.findall(row[cell]))):
            assert f"{method} {re.sub(r'{[^}]*}', '{}', path)}" in known, row


def test_every_file_named_exists():
    for row in ROWS:
        for code in CODE.findall(f"{row[1]} {row[2]}"):
            if re.fullmatch(r"\w[\w./-]*\.(py|md|json)|\w+/[\w./-]*", code):
                assert (ROOT / code).exists(), f"{code}: {row[0]}"


def test_every_row_is_shown_by_a_test_or_says_why_not():
    for row in ROWS:
        tests = [code for code in CODE.findall(row[2]) if code.startswith("tests/")]
        assert tests or WITHOUT_TEST.search(f"{row[1]} {row[2]}"), row


def test_the_seeds_settings_are_read():
    names = {
        name
        for group in Group.__subclasses__()
        for field, info in group.model_fields.items()
        for name in variables(group, field, info)
    }
    seeds = set(re.findall(r"^\| `([A-Z_]+)` \|", TABLE, re.MULTILINE))
    assert len(seeds) >= 14
    left_out = {row[0].strip("`") for row in ROWS if "left out: " in row[1]}
    assert seeds - left_out <= names
