"""Downloads against a site in this process: real yt-dlp in its sandbox, real stores, a runner."""

import asyncio
import json
import socket
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from cluster.egress import Policy
from cluster.outlet import Outlet
from cluster.sandbox import SandboxLimits
from cluster.settings import DownloadSettings, EgressSettings, QueueSettings
from db.engine import Sessions, session_scope
from db.models import (
    Collection,
    CollectionMember,
    FileStatus,
    FileTag,
    MediaFile,
    OutboxEntry,
    Tag,
    Task,
    TaskKind,
    TaskState,
    User,
)
from db.queries import events
from pipelines import queue
from pipelines.downloads.admission import submit
from pipelines.downloads.formats import AudioQuality, Quality, VideoQuality
from pipelines.downloads.found import Video
from pipelines.downloads.orders import Order
from pipelines.downloads.work import DownloadParts, Work
from pipelines.downloads.ytdlp import Downloader
from pipelines.errors import FileExists, TaskFailed
from pipelines.job import RunnerParts
from serving.errors import SpeechError
from tests.fixtures.media import ffmpeg, tone
from tests.fixtures.remote_site import RemoteSite, remote_site, resolve_locally
from tests.fixtures.runner import ended, get, keys, running, until

MAX_BYTES = 3_000_000
MAX_SECONDS = 60.0


@pytest.fixture
async def site():
    async with remote_site() as made:
        yield made


@pytest.fixture(scope="session")
def talk(tmp_path_factory) -> bytes:
    return tone(Path(tmp_path_factory.mktemp("talk")) / "talk.flac", 2).read_bytes()


@pytest.fixture
def download_parts(site, tmp_path) -> DownloadParts:
    settings = DownloadSettings(directory=tmp_path, playlist_stagger_seconds=0.01)
    return DownloadParts(
        Downloader(site.policy(), settings, MAX_BYTES),
        settings,
        QueueSettings(),
        MAX_BYTES,
        MAX_SECONDS,
    )


@pytest.fixture
def downloading(parts: RunnerParts, download_parts: DownloadParts) -> RunnerParts:
    return replace(parts, downloads=download_parts)


@pytest.fixture
async def user(sessions: Sessions) -> uuid.UUID:
    async with session_scope(sessions) as session:
        made = User(email=f"{uuid.uuid4().hex}@example.org", password_hash="-")
        session.add(made)
        await session.flush()
        return made.id


def ordered(url: str, **more) -> Order:
    return Order(
        url,
        more.pop("quality", Quality()),
        more.pop("tags", ()),
        more.pop("collection_ids", ()),
        {"language": "en"},
        **more,
    )


async def order(sessions: Sessions, user: uuid.UUID, url: str, **more) -> uuid.UUID:
    async with session_scope(sessions) as session:
        return (await submit(session, user, ordered(url, **more), DownloadSettings())).id


async def rows(sessions: Sessions, table) -> list:
    async with session_scope(sessions) as session:
        return list((await session.scalars(select(table))).all())


def nothing_left(directory: Path) -> bool:
    return not [path for base in directory.glob("rayscribe-*") for path in base.iterdir()]


def downloaders() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "yt_dlp" in " ".join(child.cmdline())
    ]


async def test_a_recording_becomes_a_file_that_is_transcribed(
    sessions, objects, downloading, site, talk, user, tmp_path
):
    async with session_scope(sessions) as session:
        collection = Collection(user_id=user, name="Talks")
        session.add(collection)
        await session.flush()
    url = site.media("/talks/On%20Rivers.flac", talk)
    task_id = await order(
        sessions,
        user,
        url,
        tags=["river", "Talk"],
        collection_ids=[collection.id, uuid.uuid4()],
    )
    async with running(downloading):
        task = await until(sessions, task_id, ended)
        assert (task.state, task.error_message) == (TaskState.completed, None)
        transcription = await until(sessions, uuid.UUID(task.result["task_id"]), ended)
    assert transcription.kind is TaskKind.transcription
    assert transcription.state is TaskState.completed
    assert transcription.options == {"language": "en"}
    [file] = await rows(sessions, MediaFile)
    assert file.id == task.media_file_id == uuid.UUID(task.result["file_id"])
    assert (file.filename, file.title) == ("On Rivers.flac", "On Rivers")
    assert file.source_url == url
    assert file.content_type == "audio/flac"
    assert file.status is FileStatus.completed
    assert await objects.get(file.object_key) == talk
    assert {tag.name for tag in await rows(sessions, Tag)} == {"river", "Talk"}
    assert len(await rows(sessions, FileTag)) == 2
    [member] = await rows(sessions, CollectionMember)
    assert member.collection_id == collection.id
    assert nothing_left(tmp_path)
    assert downloaders() == []
    # What announced the objects is forgotten: nobody will sweep them.
    assert not [e for e in await rows(sessions, OutboxEntry) if e.subject.startswith("media/")]


async def test_the_end_of_a_download_is_no_status_of_its_file(
    sessions, downloading, site, talk, user
):
    task_id = await order(sessions, user, site.media("/talk.flac", talk))
    async with running(downloading):
        task = await until(sessions, task_id, ended)
        await until(sessions, uuid.UUID(task.result["task_id"]), ended)
    async with session_scope(sessions) as session:
        told = await events.after(session, user, 0, 100)
    download = [event for event in told if event.payload.get("kind") == "download"]
    assert [event.payload["task_state"] for event in download] == [
        "queued",
        "running",
        "completed",
    ]
    assert download[-1].payload["status"] == "queued"
    assert download[-1].payload["file_id"] == task.result["file_id"]
    created = [event.type for event in told].index("file_created")
    assert told[created].sequence < download[-1].sequence


@pytest.fixture(scope="session")
def segments(tmp_path_factory) -> tuple[str, bytes]:
    """A playlist of HLS with one segment."""
    folder = Path(tmp_path_factory.mktemp("hls"))
    segment = tone(folder / "segment.ts", 2, "-c:a", "aac")
    playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nsegment.ts\n"
    return playlist, segment.read_bytes()


async def test_a_page_with_a_recording(downloading, site, talk):
    """Two ways in which pages name it, and a redirect; what is fetched is what lies there."""
    site.media("/talk.mp4", talk, "video/mp4")
    site.redirect("/elsewhere.mp4", "/talk.mp4")
    element = site.page("/element", "<title>One</title><video src='/elsewhere.mp4'></video>")
    meta = f'<title>Two</title><meta property="og:video" content="{site.url("/talk.mp4")}">'
    for url, title in ((element, "One"), (site.page("/meta", meta), "Two")):
        video = await downloading.downloads.downloader.look(url, Quality(), 10)
        assert isinstance(video, Video)
        assert video.title.startswith(title)
    seen = []
    async with downloading.downloads.downloader.fetched(
        video, Quality(), lambda *told: seen.append(told)
    ) as file:
        assert file.read() == talk
    assert seen[-1] == (len(talk), len(talk))


async def test_segments_are_joined_without_another_program(downloading, site, segments):
    playlist, segment = segments
    site.media("/segment.ts", segment, "video/mp2t")
    over = site.page("/over.m3u8", playlist + "#EXT-X-ENDLIST\n", "application/x-mpegurl")
    downloader = downloading.downloads.downloader
    video = await downloader.look(over, Quality(), 10)
    assert not video.live
    async with downloader.fetched(video, Quality(), lambda *_: None) as file:
        assert file.read() == segment


async def failure(sessions: Sessions, parts: RunnerParts, user: uuid.UUID, url: str) -> Task:
    """The task of a download that fails, for good."""
    task_id = await order(sessions, user, url)
    async with running(parts):
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.failed
    assert await rows(sessions, MediaFile) == []
    return task


async def test_a_stream_that_is_running_is_not_fetched(sessions, downloading, site, segments, user):
    live = site.page("/live.m3u8", segments[0], "application/x-mpegurl")
    task = await failure(sessions, downloading, user, live)
    assert task.error_type == "source_live"
    assert "GET /segment.ts" not in site.asked


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [
        (403, "source_private", False),
        (404, "source_removed", False),
        (500, "source_unreachable", True),
    ],
)
async def test_what_a_site_answers_instead(download_parts, site, status, expected, retryable):
    with pytest.raises(TaskFailed) as failed:
        await download_parts.downloader.look(site.status("/talk", status), Quality(), 10)
    assert (failed.value.error_type, failed.value.retryable) == (expected, retryable)
    assert str(status) in failed.value.message


async def test_a_page_without_a_recording_and_a_loop(download_parts, site):
    empty = site.page("/empty", "<html><title>Nothing to hear</title></html>")
    for url in (empty, site.redirect("/loop", "/loop")):
        with pytest.raises(TaskFailed) as failed:
            await download_parts.downloader.look(url, Quality(), 10)
        assert failed.value.error_type == "source_unsupported"


async def test_a_redirect_into_the_inside_is_refused_at_the_hop(
    sessions, downloading, site, talk, user
):
    site.media("/secret.flac", talk)
    inside = site.redirect("/open.flac", f"http://127.0.0.1:{site.port}/secret.flac")
    task = await failure(sessions, downloading, user, inside)
    assert task.error_type == "url_refused"
    assert "127.0.0.1" in task.error_message
    assert {entry.split()[1] for entry in site.asked} == {"/open.flac"}


async def test_a_page_that_names_a_recording_inside_gets_nothing(
    sessions, downloading, site, talk, user
):
    site.media("/secret.mp4", talk)
    page = site.page("/page", f"<video src='http://127.0.0.1:{site.port}/secret.mp4'></video>")
    task = await failure(sessions, downloading, user, page)
    assert task.error_type == "url_refused"
    assert {entry.split()[1] for entry in site.asked} == {"/page"}


class Rebinding:
    """A name that is ours when it is asked the first time, and 127.0.0.2 from then on."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return ["127.0.0.1" if self.asked == 1 else "127.0.0.2"]


async def test_a_name_that_changes_its_address_is_not_followed(site, talk, tmp_path):
    url = site.media("/talk.flac", talk)
    asked = []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer.get_extra_info("peername"))
        writer.close()

    settings = EgressSettings(allow="127.0.0.1/32", ports=str(site.port), connect_seconds=5)
    resolve = Rebinding()
    other = await asyncio.start_server(accept, "127.0.0.2", site.port)
    downloader = Downloader(
        Policy(settings, resolve), DownloadSettings(directory=tmp_path), MAX_BYTES
    )
    async with other:
        video = await downloader.look(url, Quality(), 10)
        assert isinstance(video, Video)
        assert resolve.asked == 1
        with pytest.raises(TaskFailed) as failed:
            async with downloader.fetched(video, Quality(), lambda *_: None):
                pass
    assert failed.value.error_type == "url_refused"
    assert resolve.asked > 1
    assert asked == []


async def test_more_bytes_than_are_taken(sessions, downloading, site, user, tmp_path):
    """Announced by the site: refused before; not announced: while they come in."""
    announced = site.media("/announced.flac", b"fLaC" + bytes(MAX_BYTES))

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/flac\r\n\r\nfLaC")
        while True:
            writer.write(bytes(100_000))
            await writer.drain()

    site.pages["/endless.flac"] = endless
    for url in (announced, site.url("/endless.flac")):
        task = await failure(sessions, downloading, user, url)
        assert (task.error_type, task.attempt) == ("upload_too_large", 1)
    assert nothing_left(tmp_path)


async def test_what_only_looks_like_a_recording_is_refused_as_in_an_upload(
    sessions, objects, downloading, site, user, tmp_path
):
    folder = tmp_path / "media"
    folder.mkdir()
    picture = ffmpeg(folder / "mute.mp4", "-f", "lavfi", "-i", "color=s=16x16:d=1")
    cases = {
        site.page("/text.flac", "no recording", "audio/flac"): "invalid_media",
        site.media("/mute.mp4", picture.read_bytes(), "video/mp4"): "no_audio",
    }
    for url, expected in cases.items():
        task = await failure(sessions, downloading, user, url)
        assert (task.error_type, task.attempt) == (expected, 1)
    assert await keys(objects) == []


async def test_longer_than_is_taken(download_parts, sessions, objects, ports, user):
    """What a site says of the length is believed where it speaks against the recording."""
    work = Work(Task(user_id=user), download_parts, sessions, objects, ports.preparer)
    video = Video("Long", None, None, MAX_SECONDS + 1, None, live=False, report="{}")
    with pytest.raises(SpeechError) as failed:
        await work._check(ordered("http://media.example/long"), video)
    assert failed.value.code == "audio_too_long"
    large = replace(video, duration=None, size_bytes=MAX_BYTES + 1)
    with pytest.raises(TaskFailed, match="bytes"):
        await work._check(ordered("http://media.example/large"), large)


async def test_the_same_recording_from_another_address_is_refused(
    sessions, objects, downloading, site, talk, user
):
    first = await order(sessions, user, site.media("/one.flac", talk))
    async with running(downloading):
        done = await until(sessions, first, ended)
        second = await order(sessions, user, site.media("/two.flac", talk))
        task = await until(sessions, second, ended)
        await until(sessions, uuid.UUID(done.result["task_id"]), ended)
    assert (task.state, task.error_type) == (TaskState.failed, "duplicate_file")
    assert done.result["file_id"] in task.error_message
    [file] = await rows(sessions, MediaFile)
    assert {key for key in await keys(objects) if key.startswith("media/")} == {file.object_key}
    async with session_scope(sessions) as session:
        with pytest.raises(FileExists):
            await submit(session, user, ordered(site.url("/one.flac")), DownloadSettings())


async def test_a_cancelled_download_ends_with_its_program(
    sessions, objects, downloading, site, talk, user, tmp_path
):
    url = site.hanging("/talk.flac", talk[:1000], len(talk))
    task_id = await order(sessions, user, url)
    async with running(downloading):
        async with asyncio.timeout(30):
            await site.waiting.wait()
        async with session_scope(sessions) as session:
            task = await session.get_one(Task, task_id, with_for_update=True)
            await queue.cancel(session, task)
        task = await until(sessions, task_id, ended)
        assert task.state is TaskState.cancelled
        assert downloaders() == []
    assert nothing_left(tmp_path)
    assert await keys(objects) == []


async def test_a_download_that_a_runner_gave_back_begins_anew(
    sessions, downloading, site, talk, user
):
    url = site.hanging("/talk.flac", talk[:1000], len(talk))
    task_id = await order(sessions, user, url)
    async with running(downloading, "first"):
        async with asyncio.timeout(30):
            await site.waiting.wait()
    assert (await get(sessions, task_id)).state is TaskState.queued
    site.media("/talk.flac", talk)
    async with running(downloading, "second"):
        task = await until(sessions, task_id, ended)
        await until(sessions, uuid.UUID(task.result["task_id"]), ended)
    assert task.state is TaskState.completed
    assert len(await rows(sessions, MediaFile)) == 1


FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>River talks</title>
<item><title>One</title><enclosure url="{0}/one.flac" type="audio/flac"/></item>
<item><title>Two</title><enclosure url="{0}/two.flac" type="audio/flac"/></item>
<item><title>One again</title><enclosure url="{0}/one.flac#again" type="audio/flac"/></item>
<item><title>Inside</title><enclosure url="file:///etc/passwd" type="audio/flac"/></item>
</channel></rss>"""


async def test_a_playlist_becomes_one_download_for_each_entry(
    sessions, downloading, site, talk, user
):
    site.media("/one.flac", talk)
    feed = site.page("/feed.xml", FEED.format(site.base), "application/rss+xml")
    task_id = await order(sessions, user, feed, tags=["river"])
    async with running(downloading):
        task = await until(sessions, task_id, ended)
        entries = [each for each in await rows(sessions, Task) if each.parent_id == task_id]
        over = {(await until(sessions, each.id, ended)).options["url"]: each.id for each in entries}
        one = await get(sessions, over[site.url("/one.flac")])
        two = await get(sessions, over[site.url("/two.flac")])
        await until(sessions, uuid.UUID(one.result["task_id"]), ended)
    assert (task.kind, task.state) == (TaskKind.playlist, TaskState.completed)
    assert task.result == {
        "title": "River talks",
        "begun": 2,
        "there_already": 0,
        "over_quota": 0,
        "complete": True,
    }
    assert (one.state, two.state) == (TaskState.completed, TaskState.failed)
    assert two.error_type == "source_removed"
    [file] = await rows(sessions, MediaFile)
    assert (file.title, file.source_url) == ("One", site.url("/one.flac"))


async def test_no_more_entries_are_begun_than_the_quota_and_the_limit_leave(
    sessions, downloading, site, user
):
    items = "".join(
        f"<item><title>{n}</title><enclosure url='{site.base}/{n}.flac'/></item>" for n in range(9)
    )
    feed = f"<rss version='2.0'><channel><title>Many</title>{items}</channel></rss>"
    url = site.page("/feed.xml", feed, "application/rss+xml")
    settings = downloading.downloads.settings.model_copy(
        update={"max_playlist_entries": 5, "per_day": 4, "playlist_stagger_seconds": 3600}
    )
    narrow = replace(downloading, downloads=replace(downloading.downloads, settings=settings))
    task_id = await order(sessions, user, url)
    async with running(narrow):
        task = await until(sessions, task_id, ended)
    assert task.result | {"title": ""} == {
        "title": "",
        # The playlist counts too.
        "begun": 3,
        "there_already": 0,
        "over_quota": 2,
        "complete": False,
    }


async def test_an_entry_that_is_a_playlist_is_not_followed(sessions, downloading, site, user):
    feed = site.page("/feed.xml", FEED.format(site.base), "application/rss+xml")
    async with session_scope(sessions) as session:
        parent = await submit(session, user, ordered(site.url("/outer.xml")), DownloadSettings())
        child = await queue.submit(
            session,
            user_id=user,
            media_file_id=None,
            kind=TaskKind.download,
            options=ordered(feed).stored(),
            parent_id=parent.id,
        )
        await queue.cancel(session, parent)
    async with running(downloading):
        task = await until(sessions, child.id, ended)
    assert (task.state, task.error_type) == (TaskState.failed, "source_unsupported")


async def test_which_format_is_fetched(download_parts, site):
    """The master playlist of a site with three pictures and two sounds."""
    master = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="low",NAME="low",DEFAULT=NO,URI="low.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1.42e00a,mp4a.40.2"
360.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2500000,RESOLUTION=1280x720,CODECS="avc1.42e00a,mp4a.40.2"
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080,CODECS="avc1.42e00a,mp4a.40.2"
1080.m3u8
"""
    url = site.page("/master.m3u8", master, "application/x-mpegurl")
    part = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ns.ts\n#EXT-X-ENDLIST\n"
    for name in ("360", "720", "1080", "low"):
        site.page(f"/{name}.m3u8", part, "application/x-mpegurl")
    wanted = {
        Quality(): "1080.m3u8",
        Quality(video=VideoQuality.p720): "720.m3u8",
        Quality(video=VideoQuality.p360, audio=AudioQuality.k128): "360.m3u8",
        Quality(audio_only=True): "low.m3u8",
    }
    for quality, expected in wanted.items():
        video = await download_parts.downloader.look(url, quality, 10)
        assert json.loads(video.report)["url"].endswith(expected), quality


async def test_a_site_that_does_not_answer_is_given_up(site, tmp_path):
    url = site.hanging("/slow", b"", 100, "text/html")
    settings = DownloadSettings(directory=tmp_path, look_seconds=3)
    downloader = Downloader(site.policy(), settings, MAX_BYTES)
    with pytest.raises(TaskFailed) as failed:
        await downloader.look(url, Quality(), 10)
    assert (failed.value.error_type, failed.value.retryable) == ("source_unreachable", True)
    assert downloaders() == []


PROBE = """
import os, socket
def reached(address):
    try:
        socket.create_connection(address, 5).close()
        return "reached"
    except OSError:
        return "refused"
print(os.getuid(), *(reached((host, int(port))) for host, port in {targets!r}))
"""


async def test_a_program_in_the_sandbox_has_no_other_way_out(site: RemoteSite, tmp_path):
    outlet = Outlet(Policy(EgressSettings(), resolve_locally), [])
    if not outlet.network_isolated:
        pytest.skip("this kernel allows no network namespace")
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        port = everywhere.getsockname()[1]
        targets = [("127.0.0.1", site.port), ("127.0.0.1", port), ("127.0.0.1", 3128)]
        source = PROBE.format(targets=targets)
        limits = SandboxLimits(1 << 30, 30, 1000)
        argv = [sys.executable, "-I", "-S", "-c", source]
        with outlet.workplace(tmp_path) as place:
            async with outlet.running(argv, limits, place, 1000) as (process, _):
                lines = await asyncio.to_thread(lambda: list(process.lines()))
                end = await asyncio.to_thread(process.finish)
    assert end.succeeded, end.stderr
    [line] = lines
    uid, *answers = line.split()
    assert answers == ["refused", "refused", "reached"]
    if outlet.own_user:
        assert uid == "65534"
    assert site.asked == []


def sleeping(command: list[str]) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == command]


async def test_what_detached_itself_ends_with_the_program(tmp_path):
    outlet = Outlet(Policy(EgressSettings(), resolve_locally), [])
    if not outlet.processes_isolated:
        pytest.skip("this kernel allows no process namespace")
    asleep = ["sleep", "271829"]
    script = f"setsid {' '.join(asleep)} >&- 2>&- & exec sleep 30"
    limits = SandboxLimits(1 << 30, 30, 1000)
    with outlet.workplace(tmp_path) as place:
        async with outlet.running(["/bin/sh", "-c", script], limits, place, 1000):
            while not (left := sleeping(asleep)):
                await asyncio.sleep(0.01)
    assert psutil.wait_procs(left, timeout=5)[1] == []


async def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    outlet = Outlet(Policy(EgressSettings(), resolve_locally), [])
    with outlet.workplace(tmp_path) as used:
        left = used.path.parent / "left"
        left.mkdir()
        (left / "media").write_bytes(b"x")
        with outlet.workplace(tmp_path):
            assert not left.exists()
            assert used.path.exists()


async def test_a_link_that_a_program_left_is_not_followed(tmp_path):
    outlet = Outlet(Policy(EgressSettings(), resolve_locally), [])
    with outlet.workplace(tmp_path) as place:
        (place.path / "media").symlink_to("/etc/passwd")
        with pytest.raises(OSError, match="symbolic links"):
            place.read("media")
