"""Runs yt-dlp: looks at an address, then fetches what is there. Blocking parts run in threads."""

import asyncio
import errno
import importlib.util
import os
import re
import stat
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import structlog

from cluster.egress import EgressRefused, Policy, Proxy
from cluster.outlet import Outlet, Workplace
from cluster.sandbox import Resource, SandboxedProcess, SandboxExit, SandboxLimits
from cluster.settings import DownloadSettings
from pipelines.downloads import failures
from pipelines.downloads.formats import Quality
from pipelines.downloads.found import Playlist, Video, read
from pipelines.errors import TaskFailed

log = structlog.get_logger(__name__)

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
"""Bytes that have come, and how many there will be."""

REPORT_BYTES = 16 * 1024 * 1024
LOOK_BYTES = 64 * 1024 * 1024
"""What a look at a page may receive."""
OVERHEAD = 1.1
"""Bytes that come in for one of the recording: protocols, pages, what is asked for again."""
TAIL_LINES = 50
TOO_LARGE = re.compile(r"^\r?\[download\] File is larger than max-filesize", re.MULTILINE)
NO_ROOM = os.strerror(errno.EFBIG)
MEDIA, REPORT = "media", "report.json"
PROGRESS = "progress:"
PROGRESS_LINE = re.compile(rf"{PROGRESS}(\d+) (?:(\d+)|\w+) (?:(\d+)|\w+)")

COMMON = (
    # Nothing but what stands here: no configuration, plugins, cookies, caches, other programs.
    "--ignore-config",
    "--no-plugin-dirs",
    "--no-cache-dir",
    "--no-js-runtimes",
    "--no-remote-components",
    *("--ffmpeg-location", "/nonexistent"),
    *("--fixup", "never"),
    *("--color", "never"),
    *("--xff", "never"),
    "--no-mtime",
    "--no-playlist",
    *("--socket-timeout", "20"),
    *("--retries", "3"),
    *("--fragment-retries", "3"),
    *("--extractor-retries", "1"),
)
LOOK = ("--dump-single-json", "--flat-playlist", "--skip-download")
FETCH = (
    *("--load-info-json", REPORT),
    *("--output", MEDIA),
    "--progress",
    "--newline",
    *("--progress-delta", "1"),
    *(
        "--progress-template",
        (
            f"download:{PROGRESS}%(progress.downloaded_bytes)s %(progress.total_bytes)s"
            " %(progress.total_bytes_estimate)d"
        ),
    ),
)


def package() -> Path:
    """Where yt-dlp is installed."""
    found = importlib.util.find_spec("yt_dlp")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("yt-dlp is not installed")
    return Path(found.origin).resolve().parent


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of yt-dlp that is over."""

    output: bytes
    exit: SandboxExit
    proxy: Proxy


class Downloader:
    """yt-dlp under an installation's limits; `max_bytes` is the largest file that is taken."""

    def __init__(self, policy: Policy, settings: DownloadSettings, max_bytes: int) -> None:
        self._policy = policy
        self._settings = settings
        self._max_bytes = max_bytes

    async def look(self, url: str, quality: Quality, max_entries: int) -> Video | Playlist:
        """What is at an address; nothing of it is fetched.

        Raises:
            TaskFailed: `url_refused` or one of `source_…`.
        """
        first = ("--playlist-items", f"1:{max_entries + 1}")
        limits = self._limits(self._settings.look_seconds, REPORT_BYTES)
        arguments = (*LOOK, *first, *quality.arguments(), "--", url)
        outlet = await self._outlet()
        with outlet.workplace(self._settings.directory) as place:
            ended = await self._run(outlet, place, arguments, limits, LOOK_BYTES, _whole)
        self._judge(ended)
        return read(ended.output, max_entries)

    @asynccontextmanager
    async def fetched(
        self, video: Video, quality: Quality, progress: Progress
    ) -> AsyncIterator[BinaryIO]:
        """The recording, in a file that is gone after the block.

        Raises:
            TaskFailed: `url_refused`, `upload_too_large` or one of `source_…`.
        """
        limits = self._limits(self._settings.fetch_seconds, REPORT_BYTES, self._max_bytes)
        arguments = (*FETCH, *("--max-filesize", str(self._max_bytes)), *quality.arguments())

        def follow(process: SandboxedProcess) -> bytes:
            return _followed(process, progress)

        outlet = await self._outlet()
        with outlet.workplace(self._settings.directory) as place:
            (place.path / REPORT).write_text(video.report)
            # Whatever the umask: it is another user's to read.
            (place.path / REPORT).chmod(0o644)
            received = int(self._max_bytes * OVERHEAD) + LOOK_BYTES
            ended = await self._run(outlet, place, arguments, limits, received, follow)
            if TOO_LARGE.search(ended.output.decode()):
                raise self._too_large()
            self._judge(ended)
            with _media(place, ended) as file:
                yield file

    async def _outlet(self) -> Outlet:
        # It tries once what the kernel allows, which takes a moment.
        outlet = await asyncio.to_thread(Outlet, self._policy, [str(package().parent)])
        if not outlet.network_isolated:
            log.warning("no network namespace: only its own obedience keeps yt-dlp to the proxy")
        if not outlet.processes_isolated:
            log.warning("no process namespace: what detaches itself from yt-dlp outlives a cancel")
        return outlet

    def _limits(self, seconds: float, output_bytes: int, file_bytes: int = 0) -> SandboxLimits:
        return SandboxLimits(self._settings.memory_bytes, seconds, output_bytes, file_bytes)

    async def _run(
        self,
        outlet: Outlet,
        place: Workplace,
        arguments: Sequence[str],
        limits: SandboxLimits,
        max_bytes: int,
        consume: Callable[[SandboxedProcess], bytes],
    ) -> Ended:
        program = (sys.executable, "-I", "-S", str(package() / "__main__.py"))
        argv = (*program, *COMMON, *arguments)
        async with outlet.running(argv, limits, place, max_bytes) as (process, proxy):

            def work() -> tuple[bytes, SandboxExit]:
                return consume(process), process.finish()

            output, ended = await _unless_cancelled(work, process)
            return Ended(output, ended, proxy)

    def _judge(self, ended: Ended) -> None:
        """Raise what a run failed of, surest reason first."""
        if ended.proxy.exceeded:
            raise self._too_large()
        if ended.exit.succeeded:
            return
        if NO_ROOM in ended.exit.stderr:
            raise self._too_large()
        if ended.exit.exceeded in {Resource.time, Resource.killed}:
            raise TaskFailed(failures.UNREACHABLE, "The site is too slow.", retryable=True)
        refused = [each for each in ended.proxy.errors if isinstance(each, EgressRefused)]
        if refused:
            raise TaskFailed("url_refused", f"The site leads elsewhere. {refused[-1].message}")
        if ended.proxy.errors:
            raise TaskFailed(failures.UNREACHABLE, ended.proxy.errors[-1].message, retryable=True)
        # Addresses may hold what only their user is to know: nothing of this is logged.
        raise failures.verdict(ended.exit.stderr)

    def _too_large(self) -> TaskFailed:
        return TaskFailed(
            "upload_too_large",
            f"The recording is larger than the {self._max_bytes} bytes that are taken here.",
        )


async def _unless_cancelled(work: Callable[[], T], process: SandboxedProcess) -> T:
    """Do the work in a thread; a cancellation kills the program, on which the work ends."""
    doing = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        process.kill()
        await asyncio.wait([doing])
        raise


def _whole(process: SandboxedProcess) -> bytes:
    return bytes(process.read(REPORT_BYTES))


def _followed(process: SandboxedProcess, progress: Progress) -> bytes:
    """Tell how far it is; the last lines that are about something else."""
    said: list[str] = []
    for line in process.lines():
        if found := PROGRESS_LINE.fullmatch(line.strip()):
            total = found[2] or found[3]
            progress(int(found[1]), int(total) if total else None)
        else:
            said = [*said[-TAIL_LINES:], line]
    return "\n".join(said).encode()


def _media(place: Workplace, ended: Ended) -> BinaryIO:
    """What was fetched, if it is a plain file."""
    try:
        file = os.fdopen(place.read(MEDIA), "rb")
    except OSError as error:
        raise failures.verdict(ended.exit.stderr) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise TaskFailed(failures.UNSUPPORTED, "The downloader left something that is no file.")
    return file
