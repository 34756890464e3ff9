"""A cluster that is there already: what it must be given, and when it is told again."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from cluster.connection import SERVE, cluster_gpus
from cluster.embedded.errors import EmbeddedError
from cluster.embedded.outside_ray import OutsideRay, check_outside
from cluster.settings import RaySettings, Settings
from tests.fixtures.stack import free_port

NEEDED = {
    "DATABASE_URL": "postgresql://a:b@postgres/c",
    "MINIO_ENDPOINT": "objects:8333",
    "SECRET_KEY": "s" * 32,
    "RAYSCRIBE_PROFILE": "cpu",
    "RAYSCRIBE_PORT": "5174",
}


@pytest.fixture
def needed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_with_all_that_nodes_need_it_may_go_on(needed: pytest.MonkeyPatch) -> None:
    check_outside(Settings())


@pytest.mark.parametrize("name", NEEDED)
def test_what_nodes_could_not_know_is_named(needed: pytest.MonkeyPatch, name: str) -> None:
    if name == "RAYSCRIBE_PORT":
        # Unset it is 5174; any free one of this machine is nothing to others.
        needed.setenv(name, "0")
    else:
        needed.delenv(name)
    with pytest.raises(EmbeddedError, match=rf"RAYSCRIBE_RAY_ADDRESS needs {name} as well"):
        check_outside(Settings())


class Head(ThreadingHTTPServer):
    """A head whose Serve runs these applications."""

    applications: dict[str, object]


class Told(BaseHTTPRequestHandler):
    """What its dashboard says of Serve."""

    server: Head

    def do_GET(self) -> None:
        body = json.dumps({"applications": self.server.applications}).encode()
        self.send_response(200 if self.path == SERVE else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def dashboard() -> Iterator[Head]:
    with Head(("127.0.0.1", 0), Told) as server:
        server.applications = {}
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def application() -> dict[str, object]:
    return {"status": "DEPLOYING", "message": "", "deployments": {}}


def asked(dashboard: Head) -> bool:
    ray = OutsideRay(f"http://127.0.0.1:{dashboard.server_port}", "token")
    return ray.forgot(["api", "pipelines"])


def test_a_head_that_knows_nothing_of_us_has_forgotten(dashboard: Head) -> None:
    assert asked(dashboard)
    dashboard.applications = {"api": application()}
    assert asked(dashboard)


def test_one_that_is_still_deploying_has_not(dashboard: Head) -> None:
    dashboard.applications = {"api": application(), "pipelines": application()}
    assert not asked(dashboard)


def test_one_that_does_not_answer_is_waited_for() -> None:
    ray = OutsideRay(f"http://127.0.0.1:{free_port()}", None)
    assert not ray.forgot(["api"])


def test_it_is_not_asked_all_the_time(dashboard: Head) -> None:
    ray = OutsideRay(f"http://127.0.0.1:{dashboard.server_port}", None)
    assert ray.forgot(["api"])
    assert not ray.forgot(["api"]), "asked again at once"


def test_its_head_is_where_the_door_is() -> None:
    assert OutsideRay("http://head.example:8265", None).host == "head.example"


def test_gpus_that_are_still_to_come_are_counted_on() -> None:
    assert cluster_gpus(RaySettings(gpus=6)) == 6
