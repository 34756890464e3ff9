"""What yt-dlp tells of an address, read as what it is: words of a stranger."""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.downloads.failures import UNSUPPORTED
from pipelines.errors import TaskFailed

TITLE_CHARACTERS = 255
DESCRIPTION_CHARACTERS = 10_000
URL_CHARACTERS = 2048

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LIVE = ("is_live", "is_upcoming", "post_live")


@dataclass(frozen=True, slots=True)
class Video:
    """One recording."""

    title: str | None
    author: str | None
    description: str | None
    duration: float | None
    size_bytes: int | None
    """What the site or yt-dlp expects."""
    live: bool
    report: str
    """All that was told, as JSON: fetching goes on from it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a playlist."""

    url: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Playlist:
    """Several recordings; more than are listed where `complete` is false."""

    title: str | None
    entries: Sequence[Entry]
    complete: bool


def read(output: bytes, max_entries: int) -> Video | Playlist:
    """What `--dump-single-json` said.

    Raises:
        TaskFailed: there is no recording.
    """
    try:
        report = json.loads(output)
    except (ValueError, RecursionError) as error:
        raise _nothing() from error
    if not isinstance(report, dict):
        raise _nothing()
    if report.get("_type") in ("playlist", "multi_video"):
        return _playlist(report, max_entries)
    return Video(
        title=line(report.get("title")),
        author=line(next(filter(None, map(report.get, ("creator", "uploader", "channel"))), None)),
        description=text(report.get("description"), DESCRIPTION_CHARACTERS),
        duration=number(report.get("duration")),
        size_bytes=_size(report),
        live=bool(report.get("is_live")) or report.get("live_status") in LIVE,
        report=output.decode("utf-8", "replace"),
    )


def _nothing() -> TaskFailed:
    return TaskFailed(UNSUPPORTED, "No recording was found at this address.")


def _playlist(report: Mapping[str, Any], max_entries: int) -> Playlist:
    listed = report.get("entries")
    known = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    entries = [
        Entry(each["url"], line(each.get("title")))
        for each in known
        # A title may hold anything; an address is checked like any other when its turn comes.
        if isinstance(each.get("url"), str) and 0 < len(each["url"]) <= URL_CHARACTERS
    ]
    if not entries:
        raise _nothing()
    title = line(report.get("title"))
    return Playlist(title, entries[:max_entries], complete=len(entries) <= max_entries)


def _size(report: Mapping[str, Any]) -> int | None:
    size = number(report.get("filesize")) or number(report.get("filesize_approx"))
    return int(size) if size else None


def number(value: Any) -> float | None:
    """A finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e15 and math.isfinite(value) else None


def text(value: Any, characters: int) -> str | None:
    """Text that can be stored and shown; None: there is none."""
    if not isinstance(value, str):
        return None
    clean = unicodedata.normalize("NFC", CONTROL.sub("", value[: 2 * characters])).strip()
    return clean[:characters].strip() or None


def line(value: Any) -> str | None:
    """The same in one line."""
    clean = text(value, TITLE_CHARACTERS)
    return " ".join(clean.split()) if clean else None
