"""Ray listens on loopback only, and does nothing for whoever does not show its token."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cluster.connection import SERVE
from cluster.embedded.ray_head import RayHead
from cluster.settings import RaySettings
from cluster.telemetry import reading

INSTANCE = "70ce27e5"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    """A head that runs."""
    folder = tmp_path_factory.mktemp("head")
    settings = RaySettings(object_store_bytes=100 * 1024 * 1024)
    made = RayHead(folder, settings, {}, gpus=False, log=folder / "ray.log", instance=INSTANCE)
    made.start()
    yield made
    made.stop()


def targets(head: RayHead) -> list[str]:
    """Where its nodes export metrics; Ray looks for them every five seconds, so not at once."""
    deadline = time.monotonic() + 60
    while not (found := head.dashboard.metric_targets()):
        assert time.monotonic() < deadline, "Ray names nobody who exports metrics"
        time.sleep(0.5)
    return found


def submitted(head: RayHead, **headers: str) -> httpx.Response:
    """A job that somebody wants to run."""
    body = {"entrypoint": "touch /tmp/never"}
    url = f"{head.dashboard.address}/api/jobs/"
    return httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False)


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"authorization": "Bearer " + "0" * 64}, 403)]
)
def test_nobody_else_runs_anything(head: RayHead, headers, status):
    assert submitted(head, **headers).status_code == status
    for path in (SERVE, "/api/version", "/api/prometheus/sd"):
        url = f"{head.dashboard.address}{path}"
        answer = httpx.get(url, headers=headers, timeout=60, trust_env=False)
        assert answer.status_code == status, path


def test_who_shows_the_token_is_answered(head: RayHead):
    assert head.dashboard.answers()
    assert targets(head)


@pytest.mark.parametrize(("with_token", "done"), [(True, True), (False, False)])
def test_a_driver_needs_it_too(head: RayHead, tmp_path: Path, with_token: bool, done: bool):
    known = (
        head.membership if with_token else {**head.membership, "RAY_AUTH_TOKEN_PATH": str(tmp_path)}
    )
    address = f"127.0.0.1:{head.ports['port']}"
    driver = f"import ray; ray.init({address!r}); print('nodes', len(ray.nodes()))"
    ended = subprocess.run(
        [sys.executable, "-c", driver],
        env={**os.environ, **known},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ("nodes 1" in ended.stdout) is done, ended.stderr


def test_metrics_are_on_loopback(head: RayHead):
    ours = [target for target in targets(head) if target.startswith("127.0.0.1:")]
    assert f"127.0.0.1:{head.ports['metrics-export-port']}" in ours
    assert reading.read(ours[:1]).found


def test_its_servers_listen_nowhere_else(head: RayHead):
    ports = set(head.ports.values())
    connections: list[Any] = psutil.net_connections("tcp")
    listening = [one.laddr for one in connections if one.status == psutil.CONN_LISTEN]
    # A socket of both families names loopback's IPv4 address in its own way.
    ours = {one.ip.removeprefix("::ffff:") for one in listening if one.port in ports}
    assert ours
    assert ours <= {"127.0.0.1", "::1"}
