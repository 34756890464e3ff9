"""What only a running service shows: the proxy's body limit, loopback, health, offline docs."""

import http.client
import re
from urllib.parse import urlsplit

import grpc
import httpx
import psutil
import pytest

from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack
MIB = 1024 * 1024


def proxy(stack: Stack) -> psutil.Process:
    [process] = stack.processes("ProxyActor")
    return process


def test_a_body_that_is_too_large_is_refused_before_it_is_read(stack: Stack):
    before = proxy(stack).memory_info().rss
    with stack.client() as client:
        authorization = client.headers["Authorization"]
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.putrequest("POST", "/api/files/upload")
    connection.putheader("Authorization", authorization)
    connection.putheader("Content-Length", str(10 * 1024 * MIB))
    connection.endheaders()
    sent = 0
    try:
        while sent < 200 * MIB:
            connection.send(bytes(MIB))
            sent += MIB
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 100 * MIB
    assert proxy(stack).memory_info().rss - before < 64 * MIB
    answer = httpx.post(
        f"{stack.url}/api/files/upload",
        headers={"Authorization": authorization},
        content=bytes(12 * MIB),
    )
    assert (answer.status_code, answer.json()["error_type"]) == (413, "body_too_large")
    assert "/api/files/upload/prepare" in answer.json()["detail"]


def listeners(stack: Stack) -> list[tuple[psutil.Process, str, int]]:
    return [
        (process, connection.laddr.ip, connection.laddr.port)
        for process in stack.processes("")
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def test_everything_listens_on_loopback_or_asks_for_the_clusters_token(stack: Stack):
    """Serve 2.60 binds the port between replicas to every interface; the token guards it."""
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    open_to_all = [(p, port) for p, ip, port in listeners(stack) if ip not in loopback]
    names = {process.name() for process, _ in open_to_all}
    assert all(name.startswith("ray::ServeReplica") for name in names), names
    for _, port in open_to_all:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_asks_every_part(stack: Stack):
    health = httpx.get(f"{stack.url}/health").json()
    assert health["status"] == "up"
    assert set(health["parts"]) >= {"database", "objects", "ray", "transcriber", "preparer"}
    assert httpx.get(f"{stack.url}/health/ready").status_code == 200


def test_the_documentation_needs_no_other_host(stack: Stack):
    for page in ("/docs", "/redoc"):
        html = httpx.get(f"{stack.url}{page}").text
        assert not re.findall(r"https?://(?!127\.0\.0\.1)[^\s\"']+\.(?:js|css)", html)
        for asset in re.findall(r"(?:src|href)=\"(/[^\"]+)\"", html):
            assert httpx.get(f"{stack.url}{asset}").status_code == 200


def test_media_is_played_by_range_through_the_proxy(stack: Stack):
    data = sample().read_bytes()
    with stack.client() as client:
        answer = client.post("/api/files/upload", files={"file": ("a.wav", data, "audio/wav")})
        body = answer.json()
        file_id = (
            body["data"]["file"]["id"] if answer.status_code == 201 else body["existing_file_id"]
        )
        part = client.get(f"/api/files/streaming/{file_id}", headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, data[100:200])
        assert client.get(f"/api/files/streaming/{file_id}").content == data
