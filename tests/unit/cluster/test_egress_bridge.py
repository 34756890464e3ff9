"""Clients of httpx2 leave by the same rules: refusals, streams, errors and limits."""

import asyncio

import httpx
import httpx2
import pytest

from cluster.egress import EgressRefused, EgressUnreachable, Policy
from cluster.egress.bridge import Bridge
from cluster.egress.client import Pinned
from cluster.settings import EgressSettings
from tests.fixtures.remote_site import HOST, RemoteSite, remote_site, resolve_locally


def client(site: RemoteSite, timeout: float = 5, **settings) -> httpx2.AsyncClient:
    transport = Bridge(Pinned(site.policy(**settings)))
    return httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout)


@pytest.fixture
async def site():
    async with remote_site() as running:
        yield running


async def test_a_request_and_its_answer_arrive_whole(site):
    async def echo(writer: asyncio.StreamWriter) -> None:
        body = b"one two three"
        head = f"HTTP/1.1 201 Made\r\nX-Told: yes\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    site.pages["/echo?a=b%20c"] = echo
    async with client(site) as http:
        answer = await http.post(site.url("/echo?a=b%20c"), json={"said": "ä"})
    assert (answer.status_code, answer.reason_phrase) == (201, "Made")
    assert (answer.headers["x-told"], answer.text) == ("yes", "one two three")
    assert site.asked == ["POST /echo?a=b%20c"]


async def test_an_answer_arrives_while_it_is_made(site):
    more = asyncio.Event()

    async def slowly(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nbefo")
        await writer.drain()
        await more.wait()
        writer.write(b"re..")

    site.pages["/slow"] = slowly
    async with client(site) as http, http.stream("GET", site.url("/slow")) as answer:
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"befo"
        more.set()
        assert await anext(chunks) == b"re.."


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:{port}/", "may not be reached"),
        ("http://other.example/", "not a public address"),
        ("http://10.0.0.1/", "not a public address"),
        ("http://user:secret@{host}:{port}/", "password"),
    ],
)
async def test_what_may_not_be_reached_is_refused(site, url, why):
    async with client(site) as http:
        with pytest.raises(httpx2.TransportError, match=why) as refused:
            await http.get(url.format(host=HOST, port=site.port))
    assert isinstance(refused.value.__cause__, EgressRefused)
    assert "secret" not in str(refused.value)
    assert site.asked == []


async def test_an_address_that_does_not_resolve_is_said(site):
    async with client(site) as http:
        with pytest.raises(httpx2.TransportError) as unreachable:
            await http.get("http://nowhere.test/")
    assert isinstance(unreachable.value.__cause__, EgressUnreachable)


async def test_a_redirect_is_not_followed(site):
    there = site.redirect("/there", f"http://{HOST}:{site.port}/elsewhere")
    async with client(site) as http:
        assert (await http.get(there)).status_code == 302
    assert site.asked == ["GET /there"]


async def test_limits_hold_while_the_answer_is_read(site):
    large = site.media("/large", bytes(10_001))
    async with client(site, max_response_bytes=10_000) as http:
        with pytest.raises(httpx2.TransportError, match="too large") as refused:
            await http.get(large)
    assert isinstance(refused.value.__cause__, EgressRefused)
    hanging = site.hanging("/hanging", b"x", 100)
    async with client(site, timeout=0.1) as http:
        with pytest.raises(httpx2.ReadTimeout):
            await http.get(hanging)


async def test_a_broken_answer_keeps_its_kind(site):
    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")

    site.pages["/cut"] = cut
    async with client(site) as http:
        with pytest.raises(httpx2.RemoteProtocolError) as broken:
            await http.get(site.url("/cut"))
    assert isinstance(broken.value.__cause__, httpx.RemoteProtocolError)


async def test_a_port_where_nobody_listens_is_a_connection_error():
    nobody = Bridge(Pinned(Policy(EgressSettings(allow=f"{HOST}:1"), resolve_locally)))
    async with httpx2.AsyncClient(transport=nobody) as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get(f"http://{HOST}:1/")
