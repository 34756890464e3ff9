"""docs/deployment.md names variables, files and services that there are."""

import re

import yaml

from cluster.setting_names import by_variable
from tests.fixtures.manifests import COMPOSE, REFERENCE, ROOT, documents

DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()
FILES = re.compile(r"`((?:docker|tests|cluster|requirements)/[\w./-]+)`")
OTHERS = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
NAMES = re.compile(r"`((?:RAY|RAYSCRIBE|MINIO|HUGGINGFACE|MODEL|SECRET|DATABASE)_[A-Z_]+)(?:=|`)")


def test_variables_are_settings_or_asked_for_by_compose() -> None:
    asked = {name for path in COMPOSE.values() for name in REFERENCE.findall(path.read_text())} | {
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
    }
    named = set(NAMES.findall(DOCUMENT))
    assert len(named) > 10
    assert named - {*by_variable(), *asked, *OTHERS} == set()


def test_files_exist() -> None:
    named = set(FILES.findall(DOCUMENT))
    # Made by hand there.
    missing = {name for name in named if not (ROOT / name).exists()}
    assert missing <= {"docker/.env", "docker/settings.env"}


def test_every_service_is_described() -> None:
    services = yaml.safe_load(COMPOSE["compose.yaml"].read_text())["services"]
    assert not [name for name in services if f"`{name}`" not in DOCUMENT]


def test_every_resource_is_a_file_of_the_folder() -> None:
    [kustomization] = documents(ROOT / "docker" / "kuberay" / "kustomization.yaml")
    folder = ROOT / "docker" / "kuberay"
    unused = {path.name for path in folder.iterdir()} - set(kustomization["resources"])
    assert unused == {"kustomization.yaml", "secrets.example.yaml", "incremental-upgrade.yaml"}
