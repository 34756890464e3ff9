"""What docs/troubleshooting.md and the packages' READMEs name is there."""

import re
from pathlib import Path

import pytest
import typer.main
from fastapi import FastAPI

from api.errors import ERRORS, ErrorType
from cluster.settings import Group
from cluster.settings_docs import variables
from rayscribe.__main__ import app as command_line

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
PACKAGES = ("api", "cluster", "db", "pipelines", "rayscribe", "serving", "tests")
READMES = [ROOT / package / "README.md" for package in PACKAGES] + [ROOT / "db/objects/README.md"]
NO_SETTINGS = {"TOKEN", "FILE"}
"""Words in capitals that stand for something of the reader's."""


def code(page: str) -> list[str]:
    """What stands between backticks, and the lines of blocks."""
    blocks = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))


def options(command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_every_route_is_there(app: FastAPI):
    paths = app.openapi()["paths"]
    named = [re.match(r"(GET|POST|PUT|DELETE) (/\S+)", piece) for piece in code(PAGE)]
    found = [match.groups() for match in named if match]
    assert len(found) > 15
    for method, address in found:
        path = address.split("?")[0]
        assert method.lower() in paths.get(path, {}), f"{method} {path}"
        asked = set(re.findall(r"[?&](\w+)=", address))
        known = {item["name"] for item in paths[path][method.lower()].get("parameters", ())}
        assert asked <= known, address


def test_every_address_is_there(app: FastAPI):
    paths = [*app.openapi()["paths"], *(getattr(route, "path", "") for route in app.routes)]
    addresses = re.findall(r"http://127\.0\.0\.1:5174(/[\w/-]+)", PAGE)
    assert len(addresses) >= 2
    assert set(addresses) <= set(paths)


def test_every_command_is_there_with_its_options():
    known = typer.main.get_group(command_line).commands
    uses = [re.match(r"rayscribe ([a-z-]+)(.*)", piece) for piece in code(PAGE)]
    found = [match.groups() for match in uses if match]
    assert len(found) > 10
    for name, rest in found:
        assert name in known, name
        wanted = set(re.findall(r"--[a-z-]+", rest.split("#")[0]))
        assert wanted <= options(known[name]), f"{name} {wanted}"


def test_every_setting_is_read():
    known = {
        variable
        for group in Group.__subclasses__()
        for name, field in group.model_fields.items()
        for variable in variables(group, name, field)
    }
    named = {
        word for piece in code(PAGE) for word in re.findall(r"(?<![$\w])[A-Z][A-Z_]{3,}\b", piece)
    } - {"POST", "DELETE", "HTTP"}
    assert len(named) > 20
    assert named - NO_SETTINGS <= known, named - NO_SETTINGS - known


def test_every_error_type_is_one():
    found = re.findall(r"\b(4\d\d|5\d\d) `(\w+)`", PAGE)
    assert len(found) > 8
    for status, name in found:
        assert ERRORS[ErrorType(name)].status == int(status), name


def test_every_page_that_is_named_is_there():
    for name in re.findall(r"\]\(([\w./-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / name).exists(), name


def test_every_target_of_make_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in (ROOT / "docs" / "troubleshooting.md", *READMES):
        # Never in prose, where things are made of something.
        for piece in code(path.read_text()):
            for name in re.findall(r"^make ([a-z-]+)", piece):
                assert name in targets, f"{path}: make {name}"


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_has_a_readme_of_one_screen(readme: Path):
    page = readme.read_text()
    assert len(page.splitlines()) <= 40
    assert "**May import**" in page or readme.parent.name == "tests"
    assert "**Test it**" in page or "pytest" in page


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_readme_names_is_there(readme: Path):
    for piece in code(readme.read_text()):
        if "<" in piece:  # a name that the reader puts in
            continue
        for name in re.findall(r"[\w./-]+\.(?:py|md)\b|(?:tests|docs|db|api)/[\w/.-]+", piece):
            there = [(base / name).exists() for base in (readme.parent, ROOT)]
            assert any(there), f"{readme}: {name}"
