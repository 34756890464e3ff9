"""The ceilings of DESIGN §3: files, functions, names, opening sentences."""

import ast
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"utils", "helpers", "common", "manager", "misc"}


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).exists()]


def ceiling(path: Path) -> int:
    if path.name == "routes.py":
        return 300
    return 600 if "tests" in path.relative_to(ROOT).parts else 400


def test_files_stay_under_their_ceiling():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if "versions" not in path.parts
        and (lines := len(path.read_text().splitlines())) > ceiling(path)
    }
    assert not long


def test_functions_stay_under_sixty_lines_with_a_median_of_ten():
    lengths = {}
    for path in sources():
        relative = path.relative_to(ROOT)
        if relative.parts[0] == "tests" or "versions" in relative.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths[f"{relative}:{node.name}"] = node.end_lineno - node.lineno + 1
    assert not {name: length for name, length in lengths.items() if length > 60}
    assert statistics.median(lengths.values()) <= 10


def test_every_module_says_in_a_sentence_what_it_is_for():
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.read_text().strip()
        and not ast.get_docstring(ast.parse(path.read_text()))
        and "versions" not in path.parts
    ]
    assert not silent


def test_no_module_is_named_after_nothing():
    assert not [path.name for path in sources() if path.stem in FORBIDDEN]
