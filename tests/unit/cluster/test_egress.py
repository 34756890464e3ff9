"""Where requests on a user's behalf may go: addresses, names, redirects, rebinding, limits."""

import asyncio
import fcntl
import os
import re
import socket
from ipaddress import IPv4Address, IPv6Address

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.egress import EgressRefused, EgressUnreachable, Policy, Proxy, client
from cluster.egress.addresses import embedded, is_public, parse
from cluster.outlet import own_directory, sweep
from cluster.sandbox import SandboxUnavailable
from cluster.settings import EgressSettings
from tests.fixtures.remote_site import HOST, remote_site, resolve_locally

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(parse(address))


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_that_are_not_public(address):
    assert not is_public(parse(address))


@pytest.mark.parametrize("text", ["fe80::1%eth0", "127.1", "0x7f.0.0.1", "2130706433", "a.b", ""])
def test_what_is_no_address_in_its_one_spelling(text):
    assert parse(text) is None


@given(st.ip_addresses(v=4))
def test_an_embedded_address_counts_like_the_one_that_it_leads_to(address: IPv4Address):
    number = int(address)
    ways = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ]
    assert {embedded(way) for way in ways} == {address}
    assert {is_public(way) for way in ways} == {is_public(address)}


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_inside(address):
    if is_public(address):
        reached = embedded(address)
        assert reached.is_global
        assert not reached.is_multicast
        assert not reached.is_link_local


def policy(answers: dict[str, list[str]], **settings) -> Policy:
    async def resolve(host: str, port: int) -> list[str]:
        if host not in answers:
            raise OSError("no such host")
        return answers[host]

    return Policy(EgressSettings(**settings), resolve)


NAMES = {
    "public.test": ["1.1.1.1", "2606:4700::1111"],
    "private.test": ["10.0.0.1"],
    "mixed.test": ["1.1.1.1", "127.0.0.1"],
    "zone.test": ["fe80::1%eth0"],
    "2130706433": ["127.0.0.1"],
}


async def test_a_name_is_as_good_as_all_of_its_addresses():
    found = await policy(NAMES).check_url("https://public.test/x")
    assert found == ("1.1.1.1", "2606:4700::1111")


@pytest.mark.parametrize(
    "url",
    [
        "http://private.test/",
        "http://mixed.test/",
        "http://zone.test/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://1.0x7f/",
        "http://localhost./",
        "http://public.test:22/",
        "http://user:secret@public.test/",
        "http://user@public.test/",
        "ftp://public.test/",
        "file:///etc/passwd",
        "gopher://public.test/",
        "//public.test/",
        "public.test",
        "http://",
        "http:///x",
        "http://public.test:99999/",
        "http://a b/",
        "http://public.test/\x00",
        "http://-bad-/",
        "http://" + "a" * 300 + ".test/",
        "javascript:alert(1)",
    ],
)
async def test_addresses_that_are_not_fetched(url):
    with pytest.raises((EgressRefused, EgressUnreachable)):
        await policy(NAMES).check_url(url)


async def test_a_name_without_an_address_is_not_reached():
    with pytest.raises(EgressUnreachable, match="cannot be resolved"):
        await policy(NAMES).check_url("http://nowhere.test/")


async def test_a_resolver_that_does_not_answer_is_given_up():
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    slow = Policy(EgressSettings(connect_seconds=0.01), resolve)
    with pytest.raises(EgressUnreachable):
        await slow.check_url("http://public.test/")


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("private.test:8443", "https://private.test:8443/"),
        ("PRIVATE.test:80", "http://private.test/"),
        ("[::1]:80", "http://[::1]/"),
        ("10.0.0.0/8", "http://private.test/"),
        ("192.0.2.0/24, 10.0.0.1", "http://private.test/"),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/"),
    ],
)
async def test_what_the_operator_allows(allow, url):
    assert await policy(NAMES, allow=allow).check_url(url)


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("private.test:8443", "http://private.test/"),
        ("10.0.0.0/8", "http://private.test:8080/"),
        ("10.0.0.0/8", "http://127.0.0.1/"),
    ],
)
async def test_what_is_allowed_is_no_more_than_was_named(allow, url):
    with pytest.raises(EgressRefused):
        await policy(NAMES, allow=allow).check_url(url)


@pytest.mark.parametrize("allow", ["intranet", "10.0.0.1/8", "a:b", ":80", "a/b:80"])
def test_an_allow_list_that_cannot_be_read_is_refused_at_the_start(allow):
    with pytest.raises(ValueError, match="neither host:port nor a network"):
        EgressSettings(allow=allow)


@pytest.mark.parametrize("ports", ["http", "0", "80,65536", "-1"])
def test_ports_that_cannot_be_read_are_refused_at_the_start(ports):
    with pytest.raises(ValueError, match="ports"):
        EgressSettings(ports=ports)


async def test_a_redirect_is_checked_like_the_first_address():
    async with remote_site() as site, client(site.settings(), resolve=resolve_locally) as http:
        site.page("/end", "here")
        there = site.redirect("/there", "/end")
        private = site.redirect("/private", f"http://127.0.0.1:{site.port}/end")
        other = site.redirect("/other", "file:///etc/passwd")
        loop = site.redirect("/loop", "/loop")
        assert (await http.get(there)).text == "here"
        with pytest.raises(EgressRefused):
            await http.get(private)
        with pytest.raises(EgressRefused, match="begin with http"):
            await http.get(other)
        with pytest.raises(httpx.TooManyRedirects):
            await http.get(loop)
        assert site.asked[-1] == "GET /loop"
        assert site.asked.count("GET /end") == 1


class Rebinding:
    """A name whose address is ours at first, and another one whenever it is asked again."""

    def __init__(self, first: str, then: str) -> None:
        self.answers = [first]
        self.then = then
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return [self.answers.pop() if self.answers else self.then]


async def test_the_address_that_was_checked_is_the_one_that_is_reached():
    async with remote_site() as site:
        url = site.page("/", "ours")
        # A network, not the name: what the name stands for is what counts.
        settings = EgressSettings(allow="127.0.0.1/32", ports=str(site.port), connect_seconds=5)
        resolve = Rebinding("127.0.0.1", "127.0.0.2")
        async with client(settings, resolve=resolve) as http:
            assert (await http.get(url)).text == "ours"
            assert resolve.asked == 1
            with pytest.raises(EgressRefused):
                await http.get(url)
        assert site.asked == ["GET /"]


async def test_an_answer_that_is_too_large_or_encoded_is_refused():
    async with remote_site() as site:
        large = site.media("/large", bytes(10_001))
        site.pages["/encoded"] = (200, {"Content-Encoding": "gzip"}, b"x")
        settings = site.settings(max_response_bytes=10_000)
        async with client(settings, resolve=resolve_locally) as http:
            with pytest.raises(EgressRefused, match="too large"):
                await http.get(large)
            with pytest.raises(EgressRefused, match="encodes"):
                await http.get(site.url("/encoded"))


async def test_an_answer_that_never_ends_is_given_up():
    async with remote_site() as site:
        url = site.hanging("/slow", b"x", 100)
        async with client(site.settings(total_seconds=0.2), resolve=resolve_locally) as http:
            with pytest.raises(EgressUnreachable, match="too long"):
                await http.get(url)


class Opened:
    """A proxy for the site, and clients of it."""

    def __init__(self, proxy: Proxy, secret: str, port: int) -> None:
        self.proxy = proxy
        self.url = Proxy.url(secret, port)
        self.port = port

    def client(self, **more) -> httpx.AsyncClient:
        return httpx.AsyncClient(proxy=self.url, trust_env=False, timeout=5, **more)

    async def raw(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer


@pytest.fixture
async def opened():
    async with remote_site() as site:
        secret = Proxy.new_secret()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        async with Proxy(site.policy(idle_seconds=2), listener, secret, 100_000) as proxy:
            yield site, Opened(proxy, secret, port)


async def test_a_program_reaches_a_site_through_the_proxy_and_nothing_else(opened):
    site, way = opened
    async with way.client() as http:
        assert (await http.get(site.page("/", "hello"))).text == "hello"
        assert (await http.get(f"http://127.0.0.1:{site.port}/")).status_code == 403
        assert (await http.get("http://other.example/")).status_code == 403
        assert (await http.get("http://nowhere.test/")).status_code == 502
        assert len(way.proxy.errors) == 3
    assert site.asked == ["GET /"]


async def test_a_tunnel_is_checked_too(opened):
    site, way = opened
    credentials = httpx.URL(way.url)
    authorization = httpx.BasicAuth(credentials.username, credentials.password)._auth_header
    head = f"Proxy-Authorization: {authorization}\r\n\r\n"
    site.page("/", "hello")
    asked = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    answer = await way.raw(f"CONNECT {HOST}:{site.port} HTTP/1.1\r\n{head}{asked}".encode())
    assert answer.startswith(b"HTTP/1.1 200 Connection established")
    assert answer.endswith(b"hello")
    refused = await way.raw(f"CONNECT 127.0.0.1:{site.port} HTTP/1.1\r\n{head}".encode())
    assert refused.startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "request_line", ["CONNECT {site} HTTP/1.1", "GET http://{site}/ HTTP/1.1", "nonsense", ""]
)
async def test_who_does_not_know_the_secret_gets_nothing(opened, request_line):
    site, way = opened
    line = request_line.format(site=f"{HOST}:{site.port}")
    for header in ("", "Proxy-Authorization: Basic c2FuZGJveDpndWVzcw==\r\n"):
        answer = await way.raw(f"{line}\r\n{header}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 407")
    assert site.asked == []


async def test_no_more_comes_in_than_a_run_may_fetch(opened):
    site, way = opened
    url = site.media("/large", bytes(200_000))
    async with way.client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(url)
    assert way.proxy.exceeded


async def test_a_connection_on_which_nothing_moves_is_closed(opened):
    site, way = opened
    url = site.hanging("/slow", b"x", 100)
    async with way.client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(url)


@given(st.binary(max_size=300))
async def test_whatever_a_program_sends_the_proxy_answers_or_closes(data):
    async with asyncio.timeout(10):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        quiet = Policy(EgressSettings(connect_seconds=0.2), resolve_locally)
        async with Proxy(quiet, listener, "secret", 1000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data + b"\r\n\r\n")
            answer = await reader.read()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 407")
            writer.close()


def test_a_directory_that_its_owner_removes_meanwhile_is_swept_by_nobody(tmp_path):
    (tmp_path / "left").mkdir()
    sweep([tmp_path / "removed since it was listed", tmp_path / "left"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_somebody_elses_directory_is_refused_though_they_hold_its_lock(tmp_path):
    with own_directory(tmp_path) as path:
        base = path.parent
    os.chown(base, 65534, 65534)
    theirs = os.open(base, os.O_RDONLY)
    try:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(SandboxUnavailable, match="somebody else"), own_directory(tmp_path):
            pass
    finally:
        os.close(theirs)


@pytest.mark.parametrize("odd", ["missing", "a file", "a link", "a file in its place"])
def test_a_base_where_nothing_can_be_made_is_named(tmp_path, odd):
    base = tmp_path / "base"
    place = base / f"rayscribe-sandbox-{os.geteuid()}"
    if odd == "a file":
        base.write_text("")
    elif odd != "missing":
        base.mkdir()
        place.write_text("") if "file" in odd else place.symlink_to(tmp_path)
    with pytest.raises(SandboxUnavailable, match=re.escape(str(place))), own_directory(base):
        pass
