"""Media, thumbnails, waveforms and signed addresses, as browsers, players and curl ask for them."""

import asyncio
import shutil
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from api.media_tokens import MediaClaims, MediaKind
from api.streaming.waveform import pooled
from db.engine import session_scope
from tests.fixtures.api import complete, connect, prepare, send_all, upload
from tests.fixtures.http import served
from tests.integration.api.test_uploads import error_type, rows

STREAMING = "/api/files/streaming"
SIZE = 1000
"""Of the thumbnail in these tests."""


async def uploaded(client: httpx.AsyncClient, data: bytes, name: str = "tone.flac") -> str:
    """A file's media address."""
    accepted = await upload(client, data, name)
    return f"{STREAMING}/{accepted.json()['data']['file']['id']}"


@pytest.fixture
async def media(client, recording):
    """The address of a recording."""
    return await uploaded(client, recording)


@pytest.fixture
async def thumbnail(media, sessions, objects):
    """The address of a picture of SIZE bytes, and its content."""
    picture = bytes(number % 251 for number in range(SIZE))
    await objects.put("thumb", picture)
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE media_file SET thumbnail_key = 'thumb'"))
    return f"{media}/thumbnail", picture


async def test_whole(client, media, recording):
    answer = await client.get(media)
    assert (answer.status_code, answer.content) == (200, recording)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.headers["content-length"] == str(len(recording))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "content-range" not in answer.headers


RANGES = [
    # What is asked for, what comes: RFC 9110 §14.1.2, §14.2 and §15.3.7.
    ("bytes=0-499", slice(0, 500)),
    ("bytes=500-999", slice(500, 1000)),
    ("bytes=500-", slice(500, None)),
    ("bytes=0-", slice(0, None)),
    ("bytes=-500", slice(-500, None)),
    ("bytes=-1", slice(-1, None)),
    ("bytes=0-0", slice(0, 1)),
    ("bytes=999-999", slice(999, None)),
    ("bytes=990-2000", slice(990, None)),
    ("bytes=-99999", slice(0, None)),
    ("BYTES=0-9", slice(0, 10)),
    ("bytes=000-009", slice(0, 10)),
]
IGNORED = [
    "bytes=9-3",
    "bytes=-",
    "bytes=",
    "bytes=0-1,5-6",
    "bytes=0-1, -1",
    "bytes=a-b",
    "bytes=0-1-2",
    "bytes 0-1",
    "items=0-1",
    "x",
    "bytes=" + "9" * 5000 + "-",
    "bytes=-" + "9" * 5000,
]
OUTSIDE = ["bytes=1000-", "bytes=1000-1001", "bytes=999999999999-", "bytes=-0"]


async def test_ranges(client, thumbnail, subtests):
    address, picture = thumbnail
    for wanted, expected in RANGES:
        with subtests.test(wanted):
            answer = await client.get(address, headers={"Range": wanted})
            start, stop, _ = expected.indices(SIZE)
            assert (answer.status_code, answer.content) == (206, picture[expected])
            assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
            assert answer.headers["content-length"] == str(stop - start)
            head = await client.head(address, headers={"Range": wanted})
            # Only GET has ranges (§14.2).
            assert (head.status_code, head.headers["content-length"]) == (200, str(SIZE))
    for wanted in IGNORED:
        with subtests.test(wanted[:20]):
            answer = await client.get(address, headers={"Range": wanted})
            assert (answer.status_code, answer.content) == (200, picture)
    for wanted in OUTSIDE:
        with subtests.test(wanted):
            answer = await client.get(address, headers={"Range": wanted})
            assert error_type(answer) == (416, "range_not_satisfiable")
            assert answer.headers["content-range"] == f"bytes */{SIZE}"


CONDITIONS = [
    # Headers with TAG for the present ETag, and the status: RFC 9110 §13.1 and §13.2.2.
    ({"If-None-Match": "TAG"}, 304),
    ({"If-None-Match": "W/TAG"}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"other", TAG'}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-None-Match": "TAG", "Range": "bytes=0-9"}, 304),
    ({"If-None-Match": "TAG", "Range": "bytes=9999-"}, 304),
    ({"If-None-Match": '"other"', "Range": "bytes=0-9"}, 206),
    ({"If-Match": "TAG"}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": '"other", TAG'}, 200),
    ({"If-Match": '"other"'}, 412),
    ({"If-Match": "W/TAG"}, 412),
    ({"If-Match": '"other"', "If-None-Match": "TAG"}, 412),
    ({"If-Range": "TAG", "Range": "bytes=0-9"}, 206),
    ({"If-Range": '"other"', "Range": "bytes=0-9"}, 200),
    ({"If-Range": "W/TAG", "Range": "bytes=0-9"}, 200),
    ({"If-Range": "Wed, 21 Oct 2015 07:28:00 GMT", "Range": "bytes=0-9"}, 200),
    ({"If-Range": '"other"', "Range": "bytes=9999-"}, 200),
    ({"If-Range": "TAG"}, 200),
]


@pytest.mark.parametrize("part", ["", "/thumbnail"])
async def test_conditions(client, media, thumbnail, part, subtests):
    address = f"{media}{part}"
    tag = (await client.head(address)).headers["etag"]
    assert tag[0] == tag[-1] == '"'
    for headers, status in CONDITIONS:
        with subtests.test(str(headers)):
            sent = {name: value.replace("TAG", tag) for name, value in headers.items()}
            answer = await client.get(address, headers=sent)
            assert answer.status_code == status
            if status == 304:
                assert answer.content == b""
                assert answer.headers["etag"] == tag
                assert "content-length" not in answer.headers
            if status == 412:
                assert error_type(answer) == (412, "precondition_failed")


async def test_head_tells_the_size_and_sends_nothing(client, media, recording):
    answer = await client.head(media)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(recording))


async def test_bytes_that_are_gone_are_not_found(client, media, objects):
    await objects.delete_prefix("media/")
    assert error_type(await client.get(media)) == (404, "not_found")


async def test_a_thumbnail_is_not_there_before_it_is_made(client, media, thumbnail, sessions):
    address, picture = thumbnail
    answer = await client.get(address)
    assert (answer.content, answer.headers["content-type"]) == (picture, "image/jpeg")
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE media_file SET thumbnail_key = NULL"))
    assert error_type(await client.get(address)) == (404, "not_found")


class TestWaveform:
    @pytest.fixture
    async def waveform(self, media, sessions):
        """An address, and how to say what is stored."""

        async def store(peaks: list[float]) -> str:
            async with session_scope(sessions) as session:
                statement = text("UPDATE media_file SET waveform = cast(:peaks AS jsonb)")
                await session.execute(statement, {"peaks": str(peaks)})
            return f"{media}/waveform"

        return store

    async def test_three_resolutions_of_which_none_loses_the_loudest(self, client, waveform):
        peaks = [0.1] * 2000
        peaks[1337] = 0.9
        address = await waveform(peaks)
        for samples in (500, 1000, 2000):
            answer = await client.get(address, params={"samples": samples})
            told = answer.json()["data"]
            assert told["samples"] == len(told["peaks"]) == samples
            loud = [index for index, peak in enumerate(told["peaks"]) if peak == 0.9]
            assert loud == [1337 * samples // 2000]
            assert told["duration"] == pytest.approx(2, abs=0.1)
        assert len((await client.get(address)).json()["data"]["peaks"]) == 1000
        for other in ("0", "600", "-500", "x", "1e3", "500.5"):
            answer = await client.get(address, params={"samples": other})
            assert error_type(answer) == (422, "validation_error")

    async def test_short_recordings_have_fewer(self, client, waveform):
        for peaks in ([], [0.5], [0.1, 0.2, 0.3]):
            address = await waveform(peaks)
            assert (await client.get(address)).json()["data"]["peaks"] == peaks

    async def test_none_before_the_file_is_prepared(self, client, media):
        assert error_type(await client.get(f"{media}/waveform")) == (404, "not_found")

    @given(st.lists(st.floats(0, 1), max_size=300), st.integers(1, 400))
    def test_pooling_loses_no_maximum_and_makes_none_up(self, peaks, count):
        fewer = pooled(peaks, count)
        assert len(fewer) == min(count, len(peaks))
        assert max(fewer, default=None) == max(peaks, default=None)
        assert set(fewer) <= set(peaks)
        # Each stretch is told by its own loudest moment.
        for index, peak in enumerate(fewer):
            start, end = (at * len(peaks) // len(fewer) for at in (index, index + 1))
            assert peak == max(peaks[start:end])


class TestSignedAddresses:
    @staticmethod
    async def signed(client, media: str, kind: str = "media") -> str:
        answer = await client.post(f"{media}/url", json={"kind": kind})
        assert answer.status_code == 200, answer.text
        told = answer.json()["data"]
        assert told["kind"] == kind
        return told["url"]

    async def test_it_opens_without_a_header_and_with_ranges(
        self, client, anonymous, media, recording
    ):
        url = await self.signed(client, media)
        assert (await anonymous.get(media)).status_code == 401
        answer = await anonymous.get(url, headers={"Range": "bytes=5-9"})
        assert (answer.status_code, answer.content) == (206, recording[5:10])

    async def test_it_says_until_when(self, client, media):
        for kind, seconds in (("media", 300), ("thumbnail", 900), ("subtitled", 300)):
            answer = await client.post(f"{media}/url", json={"kind": kind})
            until = datetime.fromisoformat(answer.json()["data"]["expires_at"])
            left = until - datetime.now(UTC)
            assert timedelta(seconds=seconds - 60) < left <= timedelta(seconds=seconds)

    async def test_it_opens_one_kind_of_thing(self, client, anonymous, media, thumbnail):
        urls = {kind: await self.signed(client, media, kind) for kind in ("media", "thumbnail")}
        tokens = {kind: url.partition("?token=")[2] for kind, url in urls.items()}
        assert (await anonymous.get(urls["thumbnail"])).content == thumbnail[1]
        crossed = [
            f"{media}?token={tokens['thumbnail']}",
            f"{media}/thumbnail?token={tokens['media']}",
            f"{media}/subtitled?token={tokens['media']}",
        ]
        for url in crossed:
            assert error_type(await anonymous.get(url)) == (401, "invalid_token")

    async def test_it_opens_one_file(self, client, anonymous, media, recording):
        other = await uploaded(client, recording + b"\0", "other.flac")
        token = (await self.signed(client, media)).partition("?token=")[2]
        refused = await anonymous.get(f"{other}?token={token}")
        assert error_type(refused) == (401, "invalid_token")

    async def test_it_is_no_access_token_and_an_access_token_is_none(
        self, client, anonymous, media
    ):
        token = (await self.signed(client, media)).partition("?token=")[2]
        bearer = {"Authorization": f"Bearer {token}"}
        for path in ("/api/auth/me", media, "/api/files"):
            refused = await anonymous.get(path, headers=bearer)
            assert error_type(refused) == (401, "invalid_token")
        access = client.headers["Authorization"].removeprefix("Bearer ")
        refused = await anonymous.get(media, params={"token": access})
        assert error_type(refused) == (401, "invalid_token")

    async def test_what_is_none(self, anonymous, client, media):
        for token in ("", "x", "a.b.c", "\0", "é"):
            # Not even beside an access token: who sends both means the address.
            for each in (anonymous, client):
                refused = await each.get(media, params={"token": token})
                assert error_type(refused) == (401, "invalid_token")
        refused = await client.get(media, params={"token": "x" * 5000})
        assert error_type(refused) == (422, "validation_error")

    async def test_it_expires(self, client, anonymous, media, services):
        me = uuid.UUID((await client.get("/api/auth/me")).json()["data"]["id"])
        session_id = services.tokens.read(
            client.headers["Authorization"].removeprefix("Bearer ")
        ).family_id
        file_id = uuid.UUID(media.rpartition("/")[2])
        claims = MediaClaims(me, session_id, file_id, MediaKind.media)
        alive, _ = services.media_tokens.issue(claims, 10)
        dead, _ = services.media_tokens.issue(claims, -10)
        assert (await anonymous.get(media, params={"token": alive})).status_code == 200
        refused = await anonymous.get(media, params={"token": dead})
        assert error_type(refused) == (401, "invalid_token")

    async def test_it_dies_with_the_file(self, client, anonymous, media):
        url = await self.signed(client, media)
        file_id = media.rpartition("/")[2]
        assert (await client.delete(f"/api/files/{file_id}")).status_code == 204
        assert error_type(await anonymous.get(url)) == (404, "not_found")

    async def test_it_dies_with_the_account(self, client, anonymous, media, sessions):
        url = await self.signed(client, media)
        async with session_scope(sessions) as session:
            await session.execute(text("""UPDATE "user" SET is_active = false"""))
        assert error_type(await anonymous.get(url)) == (401, "invalid_token")

    async def test_it_dies_with_the_session(self, client, anonymous, media, sessions):
        url = await self.signed(client, media)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE refresh_token SET revoked_at = now()"))
        assert error_type(await anonymous.get(url)) == (401, "invalid_token")

    async def test_nobody_gets_one_for_anothers_file(self, stranger, media):
        answer = await stranger.post(f"{media}/url", json={})
        assert error_type(answer) == (404, "not_found")


async def test_what_an_administrator_reads_is_written_down(
    client, stranger, media, thumbnail, sessions
):
    async with session_scope(sessions) as session:
        email = (await stranger.get("/api/auth/me")).json()["data"]["email"]
        await session.execute(
            text("""UPDATE "user" SET role = 'admin' WHERE email = :email"""), {"email": email}
        )
        await session.execute(text("DELETE FROM audit_event"))
    url = (await stranger.post(f"{media}/url")).json()["data"]["url"]
    assert (await stranger.get(media)).status_code == 200
    assert (await stranger.get(thumbnail[0])).status_code == 200
    async with connect_like(stranger) as player:
        assert (await player.get(url)).status_code == 200
    assert await rows(sessions, "audit_event") == 4
    # To read is not to change.
    assert error_type(await stranger.delete(f"{media}/cache")) == (404, "not_found")


def connect_like(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Another client of the same application, without a token."""
    return httpx.AsyncClient(transport=client._transport, base_url="http://api")


@pytest.fixture
async def long_media(client, long_recording):
    """The address of a WAV of several megabytes."""
    opened = await prepare(client, long_recording)
    await send_all(client, opened, long_recording)
    done = await complete(client, opened)
    return f"{STREAMING}/{done.json()['data']['file']['id']}"


async def test_a_player_that_seeks_back_and_forth(app: FastAPI, client, long_media, long_recording):
    """As browsers and mpv do: open-ended, break off, look at the end, jump."""
    size = len(long_recording)
    async with (
        served(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=client.headers) as player,
    ):

        async def read(start: int, count: int) -> bytes:
            """Ask from here to the end, take a little, and hang up."""
            headers = {"Range": f"bytes={start}-", "If-Range": tag}
            async with player.stream("GET", long_media, headers=headers) as answer:
                assert answer.status_code == 206
                assert answer.headers["content-range"] == f"bytes {start}-{size - 1}/{size}"
                got = b""
                async for chunk in answer.aiter_raw():
                    got += chunk
                    if len(got) >= count:
                        break
            return got[:count]

        async with player.stream("GET", long_media, headers={"Range": "bytes=0-"}) as first:
            assert first.status_code == 206
            tag = first.headers["etag"]
        for start in (0, size - 70_000, 44, size // 2, size // 3, size - 1, 1, size // 2 + 1):
            count = min(65_536, size - start)
            assert await read(start, count) == long_recording[start : start + count]
        # Pieces one after the other, several at a time.
        step = size // 7
        pieces = await asyncio.gather(
            *(
                player.get(long_media, headers={"Range": f"bytes={at}-{at + step - 1}"})
                for at in range(0, size, step)
            )
        )
        assert b"".join(piece.content for piece in pieces) == long_recording


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_fetches_resumes_and_revalidates(
    app: FastAPI, client, long_media, long_recording, tmp_path
):
    target, kept = tmp_path / "media.wav", tmp_path / "etag"

    async with served(app) as port:

        async def curl(*arguments: str) -> str:
            url = f"http://127.0.0.1:{port}{long_media}"
            process = await asyncio.create_subprocess_exec(
                *("curl", "--silent", "--show-error", "--fail", "--max-time", "60"),
                *("-H", f"Authorization: {client.headers['Authorization']}"),
                *("--write-out", "%{http_code} %{size_download}", *arguments, url),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            assert process.returncode == 0
            return output.decode()

        size = len(long_recording)
        whole = await curl("--output", str(target), "--etag-save", str(kept))
        assert whole == f"200 {size}"
        assert target.read_bytes() == long_recording
        unchanged = await curl("--output", str(tmp_path / "again"), "--etag-compare", str(kept))
        assert unchanged == "304 0"
        # A download that was broken off goes on where it was.
        target.write_bytes(long_recording[:1_000_000])
        resumed = await curl("--continue-at", "-", "--output", str(target))
        assert resumed == f"206 {size - 1_000_000}"
        assert target.read_bytes() == long_recording
        end = await curl("--range", "-100", "--output", str(target))
        assert (end, target.read_bytes()) == ("206 100", long_recording[-100:])
        head = await curl("--head")
        assert f"content-length: {size}" in head.lower()


async def test_two_applications_know_each_others_addresses(client, media, services, recording):
    """Replicas share the key and nothing else."""
    from api.factory import create_app

    url = (await client.post(f"{media}/url")).json()["data"]["url"]
    async with connect(create_app(services)) as other:
        assert (await other.get(url)).content == recording
