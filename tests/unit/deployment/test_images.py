"""Images: linted, not root, with what every node needs, from the locks."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.embedded.checks import PROGRAMS
from cluster.node_environment import NODE
from cluster.setting_names import by_variable
from tests.fixtures.manifests import DOCKER, DOCKERFILES, ROOT, image_environment, instructions

BASES = [path for path in DOCKERFILES if path.name != "Dockerfile.vllm"]
NO_SETTINGS = {
    *NODE,
    *("PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "OMP_NUM_THREADS", "LD_LIBRARY_PATH"),
    *("HF_HUB_OFFLINE", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
}
"""Variables of others."""


def name(path: Path) -> str:
    return path.name


def said(dockerfile: Path, word: str) -> list[str]:
    return [arguments for found, arguments in instructions(dockerfile) if found == word]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=name)
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=name)
def test_it_runs_as_an_ordinary_user(dockerfile: Path) -> None:
    assert said(dockerfile, "USER")[-1] == "1000"


@pytest.mark.parametrize("dockerfile", BASES, ids=name)
def test_that_user_is_in_the_group_that_owns_gpus(dockerfile: Path) -> None:
    [users] = [line for line in said(dockerfile, "RUN") if "useradd" in line]
    assert "--uid 1000 --gid 1000 --groups video" in users


@pytest.mark.parametrize("dockerfile", BASES, ids=name)
def test_a_node_says_how_it_is(dockerfile: Path) -> None:
    [check] = said(dockerfile, "HEALTHCHECK")
    assert "127.0.0.1:52365/api/local_raylet_healthz" in check


@pytest.mark.parametrize("dockerfile", BASES, ids=name)
def test_it_has_what_every_node_needs(dockerfile: Path) -> None:
    assert image_environment(dockerfile).items() >= NODE.items()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=name)
def test_every_variable_is_a_setting_or_somebody_elses(dockerfile: Path) -> None:
    known = {*by_variable(), *NO_SETTINGS}
    assert set(image_environment(dockerfile)) - known == set()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=name)
def test_no_secret_is_in_an_image(dockerfile: Path) -> None:
    settings = by_variable()
    secrets = {
        variable
        for variable in image_environment(dockerfile)
        if variable in settings and settings[variable].is_secret
    }
    assert not secrets


@pytest.mark.parametrize("dockerfile", BASES, ids=name)
def test_the_programs_that_decoding_needs_are_installed(dockerfile: Path) -> None:
    [packages] = [line for line in said(dockerfile, "RUN") if "apt-get" in line]
    assert set(packages.split()) >= {*PROGRAMS.values(), "util-linux", "wget"}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=name)
def test_what_is_copied_exists_and_is_let_in(dockerfile: Path) -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    sources = {
        word
        for arguments in said(dockerfile, "COPY")
        if not arguments.startswith("--from")
        for word in arguments.split()[:-1]
    }
    assert sources
    assert not [source for source in sources if not (ROOT / source).exists()]
    assert {source.strip("/").split("/")[0] for source in sources} <= allowed


def test_all_packages_are_in_the_images() -> None:
    packages = {"api", "cluster", "db", "pipelines", "rayscribe", "serving"}
    for dockerfile in BASES:
        copied = {line.split()[0].strip("/") for line in said(dockerfile, "COPY")}
        assert copied >= packages


def test_nodes_of_all_images_have_the_same_python() -> None:
    arguments = {tuple(sorted(said(path, "ARG")[:2])) for path in BASES}
    assert len(arguments) == 1
    [vllm] = [path for path in DOCKERFILES if path not in BASES]
    build = next(line for line in said(vllm, "ARG") if line.startswith("BUILD_IMAGE"))
    assert build in said(BASES[0], "ARG")


def test_the_gpu_image_differs_only_where_it_has_to() -> None:
    cpu, gpu = (list(instructions(DOCKER / f"Dockerfile.{kind}")) for kind in ("api", "gpu"))
    differing = {word for word, _ in set(gpu) - set(cpu)}
    assert differing == {"ARG", "ENV", "RUN"}
    runs = [arguments for word, arguments in set(gpu) - set(cpu) if word == "RUN"]
    assert len(runs) == 1
    assert "requirements/gpu.txt" in runs[0]
