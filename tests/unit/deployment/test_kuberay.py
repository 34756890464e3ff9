"""Manifests: by the schemas of Kubernetes, settings that exist, nothing open, ports that fit."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from packaging.version import Version

from cluster.manifests.config_map import NoSettings, settings_in
from cluster.manifests.ray_service import NoServeConfig, as_yaml, with_serve_config
from cluster.resources import POOL_LABEL, Role, pool
from cluster.serve_config import cluster_config
from cluster.setting_names import by_variable
from cluster.settings import Settings
from tests.fixtures.manifests import (
    DOCKER,
    KUBERAY,
    documents,
    image_environment,
    manifest,
    manifests,
    templates,
)

VERSION = "1.31"
"""Of Kubernetes: the oldest that the manifests are for; all that they use is stable since."""
SCHEMA = json.loads((Path(__file__).parent / "ray_service_schema.json").read_text())
ENVIRONMENT = {
    "PASSWORD": "Redis's own, of redis.yaml",
    "HF_HUB_OFFLINE": "the hub's client",
    "RAY_SERVE_KV_TIMEOUT_S": "Ray Serve",
}
OTHERS = {"Kustomization", "RayService"}
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

Document = dict[str, Any]


@pytest.fixture
def service() -> Document:
    return manifest("RayService")


@pytest.fixture
def cluster(service: Document) -> Document:
    return service["spec"]["rayClusterConfig"]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the nodes' settings come to."""
    for variable in by_variable():
        monkeypatch.delenv(variable, raising=False)
    for variable, value in settings_in((KUBERAY / "settings.yaml").read_text()).items():
        monkeypatch.setenv(variable, value)
    return Settings()


def test_kubernetes_takes_them() -> None:
    checked = [
        kubernetes_validate.validate(document, VERSION, strict=True)
        for document in [*manifests(), *documents(KUBERAY / "secrets.example.yaml")]
        if document["kind"] not in OTHERS
    ]
    assert len(checked) >= 10


def test_kubernetes_takes_the_pods_of_the_service() -> None:
    # The others are in what it was asked about already.
    pods = {name: template for name, template in templates().items() if "RayService" in name}
    assert len(pods) == 4
    for template in pods.values():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
        kubernetes_validate.validate({**pod, "spec": template["spec"]}, VERSION, strict=True)


def test_kuberay_takes_the_service(service: Document) -> None:
    jsonschema.validate(service, SCHEMA)


def test_kuberay_takes_it_with_the_incremental_upgrade(service: Document) -> None:
    [patch] = documents(KUBERAY / "incremental-upgrade.yaml")
    assert patch["metadata"]["name"] == service["metadata"]["name"]
    jsonschema.validate({**service, "spec": {**service["spec"], **patch["spec"]}}, SCHEMA)


def test_what_kubernetes_would_not_take_is_found() -> None:
    broken = copy.deepcopy(manifest("StatefulSet", "rayscribe-redis"))
    broken["spec"]["template"]["spec"]["containers"][0]["imagine"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


def test_the_committed_serve_configuration_is_what_settings_come_to(
    service: Document, settings: Settings
) -> None:
    path = KUBERAY / "ray-service.yaml"
    written = with_serve_config(path.read_text(), cluster_config(settings))
    assert written == path.read_text(), "run `make manifests`"
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == cluster_config(settings)


def test_every_setting_exists_and_none_is_a_secret() -> None:
    known = by_variable()
    told = settings_in((KUBERAY / "settings.yaml").read_text())
    assert set(told) - set(known) == set()
    assert not [variable for variable in told if known[variable].is_secret]


def test_every_secret_is_a_setting_or_a_key_that_is_asked_for() -> None:
    example = documents(KUBERAY / "secrets.example.yaml")
    secrets = {document["metadata"]["name"]: set(document["stringData"]) for document in example}
    assert secrets["rayscribe"] <= set(by_variable())
    asked = {"rayscribe": set(), "rayscribe-ray": {"auth_token"}, "rayscribe-redis": {"password"}}
    assert set(secrets) == set(asked)
    for name, keys in asked.items():
        assert keys <= secrets[name]


def test_together_they_say_where_all_stores_are(settings: Settings) -> None:
    [secret, *_] = documents(KUBERAY / "secrets.example.yaml")
    told = {*settings_in((KUBERAY / "settings.yaml").read_text()), *secret["stringData"]}
    assert told >= {
        *("DATABASE_URL", "MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
        *("QDRANT_URL", "QDRANT_API_KEY", "MEILI_URL", "MEILI_API_KEY", "SECRET_KEY"),
    }


def test_every_other_variable_is_known() -> None:
    named = {
        variable["name"]
        for template in templates().values()
        for container in template["spec"]["containers"]
        for variable in container.get("env", ())
    }
    assert named <= set(ENVIRONMENT)


def test_pods_of_ours_have_settings_and_secrets() -> None:
    for name, template in templates().items():
        for container in template["spec"]["containers"]:
            if container["image"].startswith("rayscribe"):
                sources = [next(iter(source)) for source in container["envFrom"]]
                assert sources == ["configMapRef", "secretRef"], name


@pytest.mark.parametrize("name", templates())
def test_pods_are_restricted(name: str) -> None:
    spec = templates()[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"].items() >= RESTRICTED.items()
        assert "memory" in container["resources"]["limits"]


def test_ours_run_as_the_user_of_the_images(cluster: Document) -> None:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        context = group["template"]["spec"]["securityContext"]
        assert (context["runAsUser"], context["supplementalGroups"]) == (1000, [44])


def test_the_sidecar_is_restricted_too(cluster: Document) -> None:
    assert cluster["autoscalerOptions"]["securityContext"] == RESTRICTED


def test_ray_wants_a_token(cluster: Document) -> None:
    assert cluster["authOptions"] == {"mode": "token", "secretName": "rayscribe-ray"}


def test_ray_is_the_version_that_is_in_the_images(cluster: Document) -> None:
    lock = (DOCKER.parent / "requirements" / "lock.txt").read_text().splitlines()
    assert f"ray=={Version(cluster['rayVersion'])}" in lock


def test_the_api_listens_where_kuberay_and_policies_look(
    cluster: Document, settings: Settings
) -> None:
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        [container] = group["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["serve"] == settings.api.port
        assert str(ports["metrics"]) == group["rayStartParams"]["metrics-export-port"]
    assert settings.api.every_node, "the service reaches nodes, not the head"
    assert settings.api.host == "0.0.0.0"
    assert open_ports("kuberay-system") == {8265, settings.api.port}
    assert open_ports("ingress-nginx") == {settings.api.port}
    assert open_ports("monitoring") == {8080, settings.api.port}


def open_ports(namespace: str) -> set[int]:
    """Ports of Ray's nodes that a namespace reaches."""
    policy = manifest("NetworkPolicy", "rayscribe-ray")
    return {
        port["port"]
        for rule in policy["spec"]["ingress"]
        for source in rule["from"]
        if source.get("namespaceSelector", {}).get("matchLabels")
        == {"kubernetes.io/metadata.name": namespace}
        for port in rule["ports"]
    }


def test_nobody_but_the_operator_reaches_the_dashboard() -> None:
    reach = {
        source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in manifest("NetworkPolicy", "rayscribe-ray")["spec"]["ingress"]
        for source in rule["from"]
        if any(port["port"] == 8265 for port in rule.get("ports", ()))
    }
    assert reach == {"kuberay-system"}


def test_nothing_is_open_that_no_policy_opens() -> None:
    policy = manifest("NetworkPolicy", "rayscribe-nothing")["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_policies_select_pods_that_there_are(cluster: Document) -> None:
    labels = [template["metadata"]["labels"] for template in templates().values()]
    # KubeRay's own.
    labels.append({**labels[-1], "ray.io/node-type": "head", "app.kubernetes.io/component": "ray"})
    for document in manifests():
        if document["kind"] == "NetworkPolicy":
            wanted = document["spec"]["podSelector"].get("matchLabels", {})
            assert any(wanted.items() <= one.items() for one in labels), document["metadata"]


def test_each_pool_has_a_group_and_its_image(cluster: Document, settings: Settings) -> None:
    images = {
        group["labels"][POOL_LABEL]: group["template"]["spec"]["containers"][0]["image"]
        for group in cluster["workerGroupSpecs"]
    }
    assert images == {
        "cpu": "rayscribe:latest",
        "gpu": "rayscribe-gpu:latest",
        "llm": "rayscribe-vllm:latest",
    }
    assert set(images) == {pool(role, 1) for role in Role}
    assert settings.replicas.pools


def test_gpus_that_are_counted_on_can_come(cluster: Document, settings: Settings) -> None:
    most = 0
    for group in cluster["workerGroupSpecs"]:
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        most += group["maxReplicas"] * int(limits.get("nvidia.com/gpu", 0))
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert settings.ray.gpus == most


def test_nothing_else_scales_what_serve_and_ray_scale(cluster: Document) -> None:
    assert cluster["enableInTreeAutoscaling"] is True
    assert "HorizontalPodAutoscaler" not in {document["kind"] for document in manifests()}


def test_a_new_head_knows_what_the_old_one_knew(cluster: Document) -> None:
    host, port = cluster["gcsFaultToleranceOptions"]["redisAddress"].split(":")
    redis = manifest("Service", host)
    assert redis["spec"]["ports"][0]["port"] == int(port)
    pods = manifest("StatefulSet", host)["spec"]["template"]["metadata"]["labels"]
    assert redis["spec"]["selector"].items() <= pods.items()


def test_volumes_that_are_mounted_are_there() -> None:
    claims = {document["metadata"]["name"] for document in manifests()}
    models = image_environment(DOCKER / "Dockerfile.gpu")["MODEL_CACHE_DIR"]
    for name, template in templates().items():
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        for container in spec["containers"]:
            for mount in container.get("volumeMounts", ()):
                if mount["name"] != "data":
                    assert mount["name"] in volumes, name
                if mount["name"] == "models":
                    assert mount["mountPath"] == models
        for volume in volumes.values():
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims


def test_the_settings_annotation_is_on_every_pod_of_ray(cluster: Document) -> None:
    told = {
        json.dumps(group["template"]["metadata"]["annotations"])
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    }
    assert len(told) == 1
    assert "rayscribe.io/settings" in told.pop()


def test_a_manifest_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(NoServeConfig, match="0 lines"):
        with_serve_config("kind: RayService\n", {})


def test_only_the_configuration_is_made_anew() -> None:
    before = "a: 1\nspec:\n  serveConfigV2: |\n    old: {}\n\n    older: 1\n  # kept\n  b: 2\n"
    after = with_serve_config(before, {"new": [1]})
    assert after == "a: 1\nspec:\n  serveConfigV2: |\n    new:\n    - 1\n  # kept\n  b: 2\n"
    assert with_serve_config(after, {"new": [1]}) == after
    assert as_yaml({"b": 1, "a": 2}) == "b: 1\na: 2\n"


def test_a_config_map_of_settings_is_read() -> None:
    assert settings_in("kind: ConfigMap\ndata: {A: b}\n") == {"A": "b"}
    with pytest.raises(NoSettings, match="no ConfigMap"):
        settings_in("kind: Secret\n")
    with pytest.raises(NoSettings, match="A: values have to be texts"):
        settings_in("kind: ConfigMap\ndata: {A: 1}\n")
