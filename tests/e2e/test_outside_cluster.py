"""A cluster that is there already: nodes, PostgreSQL and S3 that `rayscribe up` did not start."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cluster.settings import ObjectSettings
from tests.fixtures.ray_nodes import RayNodes
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack, free_port
from tests.fixtures.stores import PostgresServer

WANTED = "RAYSCRIBE_TEST_NODES"
pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        WANTED not in os.environ,
        reason=f"Ray lets no second node join over 127.0.0.1 (set {WANTED}=1 to try)",
    ),
]
SECONDS = 400.0


@pytest.fixture
async def settings(
    postgres_server: PostgresServer, object_server: ObjectSettings, tmp_path: Path
) -> dict[str, str]:
    """What all nodes have in their environment, as a manifest would say it."""
    name = f"outside_{uuid.uuid4().hex}"
    await postgres_server.execute(f"CREATE DATABASE {name}")
    assert object_server.endpoint
    assert object_server.access_key
    assert object_server.secret_key
    return {
        "DATABASE_URL": postgres_server.database_url(name),
        "MINIO_ENDPOINT": object_server.endpoint,
        "MINIO_ACCESS_KEY": object_server.access_key.get_secret_value(),
        "MINIO_SECRET_KEY": object_server.secret_key.get_secret_value(),
        "MEDIA_BUCKET_NAME": f"outside-{uuid.uuid4().hex}",
        "SECRET_KEY": "s" * 32,
        "RAYSCRIBE_PORT": str(free_port()),
        "RAYSCRIBE_PROFILE": "cpu",
        "RAYSCRIBE_ENGINES": "fake",
        "RAYSCRIBE_ATTEMPTS_PER_MINUTE": "100000",
        "RAYSCRIBE_DATA_DIR": str(tmp_path / "node"),
        "RAYSCRIBE_REPLICAS_POOLS": "true",
        "RAYSCRIBE_RUNNER_LEASE_SECONDS": "10",
        "RAYSCRIBE_RUNNER_HEARTBEAT_SECONDS": "2",
    }


@pytest.fixture
def nodes(settings: dict[str, str], tmp_path: Path) -> Iterator[RayNodes]:
    """A head without replicas and a node for them."""
    nodes = RayNodes(tmp_path / "ray", settings)
    try:
        nodes.start_head()
        nodes.start_worker()
        yield nodes
    finally:
        nodes.stop()


@pytest.fixture
def outside(settings: dict[str, str], nodes: RayNodes, tmp_path: Path) -> Stack:
    """The machine from which it is deployed, which has nothing but addresses and secrets."""
    told = {
        **{name: value for name, value in settings.items() if name != "RAYSCRIBE_DATA_DIR"},
        "RAYSCRIBE_RAY_ADDRESS": nodes.dashboard.address,
        "RAY_AUTH_TOKEN": nodes.token,
    }
    return Stack(tmp_path / "deployer", environment=told)


def eventually(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.5)
    raise AssertionError(f"{what} not within {SECONDS:.0f} s")


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=10, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_nodes_and_the_head_are_replaced_and_no_task_is_lost(outside: Stack, nodes: RayNodes):
    shown = outside.up()
    assert "external" in shown
    assert nodes.replica_nodes().isdisjoint(nodes.proxy_nodes()), "a replica is on the head"
    assert "SPEAKER_00:" in outside.command("transcribe", str(sample())).stdout
    url = outside.url
    health = httpx.get(f"{url}/-/healthz", timeout=30, trust_env=False)
    assert (health.status_code, health.text) == (200, "success"), "what KubeRay asks"

    nodes.kill("worker")
    nodes.start_worker()
    eventually(lambda: ready(url), "all replicas on the new node")
    with outside.client() as client:
        [file] = client.get("/api/files").json()["data"]["items"]
        answer = client.post(f"/api/files/{file['id']}/reprocess", json={})
        assert answer.status_code < 300, answer.text

    # A new head knows nothing of us: `rayscribe up`, which runs on, tells it.
    nodes.stop()
    nodes.start_head()
    nodes.start_worker()
    eventually(lambda: ready(url), "deployed again")

    def done() -> bool:
        rows = outside.query("SELECT state FROM task")
        return {row["state"] for row in rows} == {"completed"} and len(rows) >= 2

    eventually(done, "the task that was queued")

    outside.down()
    assert outside.processes("") == []
    assert ready(url), "what the cluster runs is not the deployer's to stop"
