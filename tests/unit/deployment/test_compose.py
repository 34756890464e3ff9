"""Compose files: by the specification, real settings, secrets from outside, ports that fit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.resources import Role, pool
from cluster.setting_names import by_variable
from cluster.settings import Settings
from tests.fixtures.manifests import (
    COMPOSE,
    DOCKER,
    REFERENCE,
    ROOT,
    image_environment,
    service_environments,
)

OURS = {"models", "ray-head", "ray-worker", "deploy", "ray-gpu", "ray-llm", "models-llm"}
NO_SETTINGS = {"RAY_AUTH_TOKEN", "HF_HUB_OFFLINE"}
CHECK = Path(sys.executable).with_name("check-jsonschema")

Document = dict[str, Any]


@pytest.fixture
def compose() -> Document:
    return yaml.safe_load(COMPOSE["compose.yaml"].read_text())


@pytest.fixture
def gpu() -> Document:
    return yaml.safe_load(COMPOSE["compose.gpu.yaml"].read_text())


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """What docker/new-env.sh prints."""
    printed = subprocess.run(
        [DOCKER / "new-env.sh"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_they_are_as_the_specification_has_it() -> None:
    done = subprocess.run(
        [CHECK, "--builtin-schema", "vendor.compose-spec", *COMPOSE.values()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", COMPOSE.values(), ids=COMPOSE)
def test_every_variable_of_our_containers_is_a_setting(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    named = {
        variable
        for service, environment in service_environments(document).items()
        if service in OURS
        for variable in environment
    }
    assert named
    assert named - {*by_variable(), *NO_SETTINGS} == set()


def test_what_it_comes_to_is_valid_settings(
    compose: Document, gpu: Document, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for told in (compose["x-settings"], {**compose["x-settings"], **gpu["x-gpu"]}):
        for variable, value in told.items():
            monkeypatch.setenv(variable, expanded(str(value), secrets))
        settings = Settings()
        assert settings.database.url
        assert settings.auth.secret_key
        assert len(settings.auth.secret_key.get_secret_value()) >= 32


def expanded(value: str, variables: dict[str, str]) -> str:
    """A value as compose reads it."""

    def fill(found: re.Match[str]) -> str:
        name, _, default = found[0][2:-1].partition(":-")
        return variables.get(name.partition(":?")[0], default)

    return REFERENCE.sub(fill, value)


def test_secrets_come_from_outside_and_all_of_them_are_printed(
    compose: Document, secrets: dict[str, str]
) -> None:
    settings = by_variable()
    for variable, value in compose["x-settings"].items():
        if variable in settings and settings[variable].is_secret and variable != "MINIO_ACCESS_KEY":
            assert "${" in str(value), variable
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE["compose.yaml"].read_text()))
    assert required <= set(secrets)
    random = {name: value for name, value in secrets.items() if name in required}
    assert len(set(random.values())) == len(random)
    assert all(len(value) == 64 for value in random.values())


def test_nothing_but_loopback_is_published(compose: Document, gpu: Document) -> None:
    for document in (compose, gpu):
        for service in document["services"].values():
            for port in service.get("ports", ()):
                assert port.startswith("127.0.0.1:"), port


def test_the_dashboard_is_not_published(compose: Document) -> None:
    told = compose["services"]["ray-head"]
    assert [port.rpartition(":")[2] for port in told["ports"]] == ["5174"]


def test_addresses_fit_what_listens_there(compose: Document, gpu: Document) -> None:
    settings, head = compose["x-settings"], compose["services"]["ray-head"]
    assert head["networks"]["cluster"]["aliases"] == ["head"]
    assert settings["RAYSCRIBE_RAY_ADDRESS"] == "http://head:8265"
    assert "--dashboard-port=8265" in head["command"]
    assert head["ports"][0].endswith(f":{settings['RAYSCRIBE_PORT']}")
    nodes = {**gpu["services"], **compose["services"]}
    for name in ("ray-worker", "ray-gpu", "ray-llm"):
        assert "--address=head:6379" in nodes[name]["command"], name
    assert "--port=6379" in head["command"]
    assert "-s3.port=8333" in compose["services"]["objects"]["command"]
    services = {*compose["services"], "head"}
    for variable in ("DATABASE_URL", "MINIO_ENDPOINT", "QDRANT_URL", "MEILI_URL"):
        host = re.search(r"(?:@|//|:-)([a-z]+):\d+", settings[variable])
        assert host
        assert host[1] in services


def test_stores_are_on_a_network_that_leads_nowhere(compose: Document) -> None:
    assert compose["networks"]["stores"] == {"internal": True}
    for name in ("postgres", "objects", "objects-rule", "minio", "qdrant", "meilisearch"):
        assert compose["services"][name]["networks"] == ["stores"]


def test_what_is_mounted_exists(compose: Document) -> None:
    for name, service in compose["services"].items():
        for mount in service.get("volumes", ()):
            source, target = mount.split(":")[:2]
            if source.startswith("."):
                assert (DOCKER / source).exists(), source
            else:
                assert source in compose["volumes"], f"{name}: {source}"
            assert target.startswith("/")


def test_every_volume_and_network_is_used(compose: Document) -> None:
    mounted = {
        mount.split(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", ())
    }
    assert set(compose["volumes"]) <= mounted


def test_whoever_runs_on_says_how_it_is(compose: Document) -> None:
    for name, service in compose["services"].items():
        if service.get("restart") == "unless-stopped":
            # Nodes have the check of their image.
            assert "healthcheck" in service or name == "ray-worker", name


def test_images_are_pinned(compose: Document) -> None:
    for name, service in compose["services"].items():
        image = service["image"]
        if not image.startswith("${"):
            tag = image.rpartition(":")[2]
            assert re.search(r"\d", tag), f"{name}: {image}"


def test_meilisearch_is_the_version_whose_description_the_adapter_is_held_against(
    compose: Document,
) -> None:
    described = json.loads((ROOT / "tests/fixtures/meilisearch_openapi.json").read_text())
    image = compose["services"]["meilisearch"]["image"]
    assert image.rpartition(":")[2] == f"v{described['info']['version']}"


def test_ours_may_nothing(compose: Document) -> None:
    for name in OURS & set(compose["services"]):
        service = compose["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service


def test_labels_of_nodes_are_the_pools_that_replicas_ask_for(
    compose: Document, gpu: Document
) -> None:
    labels = {
        label.partition("pool=")[2]
        for document in (compose, gpu)
        for service in document["services"].values()
        for label in service.get("command", ())
        if label.startswith("--labels=rayscribe.io/pool=")
    }
    assert labels == {pool(role, 1) for role in Role}


@pytest.mark.parametrize("told", [{}, {"RAYSCRIBE_GPUS": "1"}])
def test_the_language_model_has_a_gpu_that_speech_does_not_use(
    gpu: Document, told: dict[str, str]
) -> None:
    def asked(service: str) -> Document:
        [device] = gpu["services"][service]["deploy"]["resources"]["reservations"]["devices"]
        return device

    # `count` takes devices from 0 on.
    speech = {str(n) for n in range(int(expanded(str(asked("ray-gpu")["count"]), told)))}
    language = [expanded(number, told) for number in asked("ray-llm")["device_ids"]]
    assert len(language) == 1
    assert not speech & set(language)


def test_weights_lie_where_images_look_for_them(compose: Document) -> None:
    models = image_environment(DOCKER / "Dockerfile.gpu")["MODEL_CACHE_DIR"]
    for name in ("models", "ray-head", "ray-worker", "deploy"):
        targets = [mount.split(":")[1] for mount in compose["services"][name]["volumes"]]
        assert models in targets


def test_objects_are_on_the_disk_before_they_are_acknowledged(compose: Document) -> None:
    bucket = compose["x-settings"]["MEDIA_BUCKET_NAME"]
    [rule] = compose["services"]["objects-rule"]["command"]
    assert f"-locationPrefix=/buckets/{bucket}/ -fsync=true -apply" in rule


def test_new_secrets_are_for_one_reader() -> None:
    assert "umask 077" in (DOCKER / "new-env.sh").read_text()
    assert os.access(DOCKER / "new-env.sh", os.X_OK)
