"""The embedded S3 keeps what was put, on loopback, for those who have the key."""

import io
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import minio
import psutil
import pytest
from minio.error import S3Error

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.objects import EmbeddedObjects, external_objects
from cluster.settings import ObjectSettings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedObjects]:
    with EmbeddedObjects(tmp_path_factory.mktemp("objects"), bucket="media") as running:
        yield running


def client(server: EmbeddedObjects, secret_key: str | None = None) -> minio.Minio:
    return minio.Minio(
        server.endpoint,
        access_key=server.access_key,
        secret_key=secret_key or server.secret_key,
        secure=False,
        region="us-east-1",
    )


def put(server: EmbeddedObjects, name: str, body: bytes) -> None:
    client(server).put_object("media", name, io.BytesIO(body), len(body))


def get(server: EmbeddedObjects, name: str) -> bytes:
    with client(server).get_object("media", name) as response:
        return bytes(response.read())


def test_what_is_put_is_got(server: EmbeddedObjects) -> None:
    body = os.urandom(3_000_000)
    put(server, "a/b.bin", body)
    assert get(server, "a/b.bin") == body


def test_a_wrong_secret_is_refused(server: EmbeddedObjects) -> None:
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        client(server, "guess").list_buckets()


def test_nobody_is_refused(server: EmbeddedObjects) -> None:
    put(server, "secret.txt", b"x")
    url = f"http://{server.endpoint}/media/secret.txt"
    assert httpx.get(url, trust_env=False).status_code == 403


@pytest.mark.parametrize("door", ["filer", "volume"])
def test_the_inner_servers_show_no_object_to_other_users(
    server: EmbeddedObjects, door: str
) -> None:
    put(server, "private.txt", b"x" * 100_000)
    path = {"filer": "/buckets/media/private.txt", "volume": "/1,01637037d6"}[door]
    url = f"http://127.0.0.1:{server.ports[f'{door}.port']}{path}"
    assert httpx.get(url, trust_env=False).status_code == 401
    assert httpx.delete(url, trust_env=False).status_code == 401


def test_it_listens_on_loopback_only_on_the_ports_it_was_given(server: EmbeddedObjects) -> None:
    assert server.child
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(server.child.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port) for port in server.ports.values()}


def test_credentials_are_private(server: EmbeddedObjects) -> None:
    for name in ("secret_key", "s3.json", "security.toml", "signing_key"):
        assert stat.S_IMODE((server.directory / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700


def test_settings_lead_to_it(server: EmbeddedObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    assert external_objects(ObjectSettings()) == server.environment


def test_an_external_server_that_refuses_is_named(
    server: EmbeddedObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**server.environment, "MINIO_SECRET_KEY": "guess"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EmbeddedError, match="MINIO_ENDPOINT does not serve"):
        external_objects(ObjectSettings())


def test_it_survives_kill_with_what_was_put(tmp_path: Path) -> None:
    with EmbeddedObjects(tmp_path, bucket="media") as server:
        put(server, "kept", b"kept")
        endpoint = server.endpoint
        assert server.child
        os.kill(server.child.process.pid, signal.SIGKILL)
        server.start()
        assert server.endpoint == endpoint
        assert get(server, "kept") == b"kept"


def test_what_is_put_is_synced_and_its_name_too(server: EmbeddedObjects) -> None:
    assert server.rule() == {"locationPrefix": "/buckets/media/", "fsync": True}
    assert (server.directory / "data" / "names.db").stat().st_size > 0


def test_tests_need_not_wait_for_the_disk(tmp_path: Path) -> None:
    with EmbeddedObjects(tmp_path, bucket="media", fsync=False) as server:
        assert not server.rule()["fsync"]
        assert not (tmp_path / "data" / "names.db").exists()


def test_a_torn_index_is_rebuilt_once_the_machine_has_started_again(tmp_path: Path) -> None:
    with EmbeddedObjects(tmp_path, bucket="media") as server:
        put(server, "kept", b"kept")
        assert server.child
        os.kill(server.child.process.pid, signal.SIGKILL)
        server.stop()
        os.truncate(tmp_path / "data" / "media_1.idx", 5)
        (tmp_path / "boot_id").write_text("another start of the machine")

        server.start()

        assert get(server, "kept") == b"kept"
