"""What is fetched, and what is made of a stranger's words: addresses, complaints, reports."""

import json
from functools import cache

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.downloads.failures import complaint, verdict
from pipelines.downloads.formats import AudioQuality, Quality, VideoQuality
from pipelines.downloads.found import URL_CHARACTERS, Entry, Playlist, Video, read
from pipelines.downloads.links import canonical
from pipelines.downloads.orders import Order
from pipelines.downloads.playlists import by_address
from pipelines.downloads.ytdlp import package
from pipelines.errors import TaskFailed

VIDEO = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.ORG:80/a?b=1#part", "http://example.org/a?b=1"),
        ("https://example.org", "https://example.org/"),
        ("https://example.org:8443/a", "https://example.org:8443/a"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://youtu.be/dQw4w9WgXcQ?t=42", VIDEO),
        ("http://m.youtube.com/watch?v=dQw4w9WgXcQ&list=PL1&index=2", VIDEO),
        ("https://music.youtube.com/watch?list=x&v=dQw4w9WgXcQ", VIDEO),
        ("https://www.youtube.com/shorts/dQw4w9WgXcQ", VIDEO),
        ("https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ", VIDEO),
        (
            "https://youtube.com/playlist?list=PL_1&si=x",
            "https://www.youtube.com/playlist?list=PL_1",
        ),
        ("https://youtube.com/@somebody", "https://youtube.com/@somebody"),
        (
            "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
            "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
        ),
    ],
)
def test_one_spelling_for_each_address(url, expected):
    assert canonical(url) == expected
    assert canonical(expected) == expected


@given(st.text())
def test_whatever_is_sent_is_spelled_or_refused(text):
    try:
        once = canonical(text)
    except (httpx.InvalidURL, UnicodeError):
        return
    assert canonical(once) == once


@cache
def source() -> str:
    """All that yt-dlp may say of itself."""
    files = sorted(package().rglob("*.py"))
    # A third of the package, and says nothing.
    return "\n".join(f.read_text() for f in files if f.name != "lazy_extractors.py")


OWN_WORDS = [
    ("This video is only available for registered users", "source_private"),
    ("Wrong video password", "source_private"),
    ("Password protected video, use --video-password <password>", "source_private"),
    ("This VOD is private", "source_private"),
    ("This account is not subscribed to this content", "source_private"),
    ("This video is not available from your location due to geo restriction", "source_geo_blocked"),
    ("Track unavailable in your country due to licensing restrictions", "source_geo_blocked"),
    ("This song is blocked in this region", "source_geo_blocked"),
    ("This video is DRM protected", "source_unsupported"),
    ("No video formats found!", "source_unsupported"),
    ("This video does not exist", "source_removed"),
    ("Livestream has ended.", "source_removed"),
    ("Broadcast no longer exists", "source_removed"),
    ("Streamer is not live", "source_live"),
    ("The channel is not currently live", "source_live"),
    ("This live event will begin in a few moments.", "source_live"),
    ("Unable to download webpage", "source_unreachable"),
    ("Did not get any data blocks", "source_unsupported"),
]
"""As they stand in the package that is installed."""

SITES_WORDS = [
    (
        "Private video. Sign in if you've been granted access to this video",
        "source_private",
    ),
    ("Video unavailable. This video has been removed by the uploader", "source_removed"),
    (
        (
            "Video unavailable. This video is no longer available because the YouTube account "
            "associated with this video has been terminated."
        ),
        "source_removed",
    ),
    (
        "The uploader has not made this video available in your country",
        "source_geo_blocked",
    ),
    ("Premieres in 3 hours", "source_live"),
    ("Join this channel to get access to members-only content", "source_private"),
    ("Sign in to confirm your age. This video may be inappropriate", "source_private"),
    ("Unable to download webpage: HTTP Error 404: Not Found", "source_removed"),
    ("Unable to download webpage: HTTP Error 410: Gone", "source_removed"),
    ("Unable to download webpage: HTTP Error 401: Unauthorized", "source_private"),
    ("Unable to download JSON metadata: HTTP Error 403: Forbidden", "source_private"),
    (
        "Unable to download webpage: HTTP Error 451: Unavailable For Legal Reasons",
        "source_geo_blocked",
    ),
    ("Unable to download webpage: HTTP Error 429: Too Many Requests", "source_unreachable"),
    ("Unable to download webpage: HTTP Error 503: Service Unavailable", "source_unreachable"),
    ("unable to download video data: 10 bytes read, 90 more expected", "source_unreachable"),
    ("Unable to download webpage: The read operation timed out", "source_unreachable"),
    ("Something that nobody has seen before", "source_unsupported"),
]
"""What sites say through it, or what comes of their answers."""


@pytest.mark.parametrize(("said", "expected"), OWN_WORDS)
def test_what_its_own_complaints_mean(said, expected):
    # `is not currently live` is the base class's sentence about a name.
    words = said.removeprefix("The channel ").removesuffix(" in a few moments.")
    assert words.removesuffix(".") in source() or "will begin in" in words
    assert verdict(f"ERROR: [site] 4711: {said}").error_type == expected


@pytest.mark.parametrize(("said", "expected"), SITES_WORDS)
def test_what_sites_complaints_mean(said, expected):
    stderr = f"WARNING: [site] something before\nERROR: [site] 4711: {said}\nERROR: another\n"
    failed = verdict(stderr)
    assert failed.error_type == expected
    assert failed.retryable == (expected == "source_unreachable")
    assert said[:50].strip(".") in failed.message


def test_its_advice_and_what_cannot_be_shown_are_left_out():
    said = (
        "ERROR: [youtube] dQw4w9WgXcQ: Sign in\x1b[0m\u202e now; please report this issue on  "
        "https://github.com/yt-dlp/yt-dlp/issues?q= , filling out the template"
    )
    assert complaint(said) == "Sign in [0m now"
    assert verdict("").message == "No recording can be fetched from this address (no reason given)."


@given(st.text())
def test_whatever_it_says_there_is_a_verdict(stderr):
    assert len(verdict(stderr).message) < 400


@pytest.mark.parametrize(
    ("quality", "arguments"),
    [
        (Quality(), ("--format", "b/ba/ba*")),
        (
            Quality(VideoQuality.p720, audio_only=False, audio=AudioQuality.k192),
            ("--format", "b/ba/ba*", "--format-sort", "res:720,abr:192"),
        ),
        (
            Quality(VideoQuality.p720, audio_only=True, audio=AudioQuality.k128),
            ("--format", "ba/b/ba*", "--format-sort", "abr:128"),
        ),
    ],
)
def test_what_of_a_site_is_asked_for(quality, arguments):
    assert quality.arguments() == arguments


def test_an_order_is_stored_as_json():
    order = Order("https://example.org/", Quality(VideoQuality.p360), ["a"], [], {"task": "x"}, "T")
    assert Order.of(json.loads(json.dumps(order.stored()))) == order


def test_what_is_told_of_a_recording():
    report = {
        "title": "  A\x00 \u202etalk\n of  two ",
        "uploader": "",
        "channel": "Rivers",
        "description": "First\x07\nsecond",
        "duration": 12.5,
        "filesize_approx": 4711,
        "live_status": "was_live",
    }
    found = read(json.dumps(report).encode(), 10)
    assert isinstance(found, Video)
    assert (found.title, found.author) == ("A talk of two", "Rivers")
    assert found.description == "First\nsecond"
    assert (found.duration, found.size_bytes, found.live) == (12.5, 4711, False)


@pytest.mark.parametrize("status", ["is_live", "is_upcoming", "post_live"])
def test_what_counts_as_live(status):
    found = read(json.dumps({"live_status": status}).encode(), 10)
    assert isinstance(found, Video)
    assert found.live


def test_a_playlist_has_no_more_entries_than_are_wanted():
    entries = [{"url": f"https://example.org/{n}", "title": str(n)} for n in range(4)]
    odd = [None, "text", {"title": "no address"}, {"url": 5}, {"url": "x" * 3000}]
    report = {"_type": "playlist", "title": "All", "entries": [*odd, *entries]}
    found = read(json.dumps(report).encode(), 3)
    assert isinstance(found, Playlist)
    assert [entry.title for entry in found.entries] == ["0", "1", "2"]
    assert not found.complete


def test_entries_whose_addresses_cannot_be_kept_are_left_out():
    grows = Entry("https://example.org/" + "ä" * 1000, "long")
    usable = Entry("https://example.org/a", "usable")
    longest = Entry("https://example.org/".ljust(URL_CHARACTERS, "x"), "just short enough")
    entries = [Entry("ftp://example.org/", "no page"), grows, usable, longest, usable]
    assert by_address(entries) == {usable.url: usable, longest.url: longest}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
WORDS = ("_type", "title", "uploader", "description", "duration", "filesize", "entries", "is_live")


@given(st.dictionaries(st.sampled_from(WORDS), json_values) | json_values)
def test_whatever_is_told_is_read_or_refused(report):
    try:
        found = read(json.dumps(report).encode(), 10)
    except TaskFailed:
        return
    if isinstance(found, Video):
        assert found.title is None or (len(found.title) <= 255 and "\x00" not in found.title)
        assert found.duration is None or found.duration >= 0


@pytest.mark.parametrize("output", [b"", b"null", b"[]", b"not json", b"[" * 100_000])
def test_a_report_that_is_none(output):
    with pytest.raises(TaskFailed, match="No recording"):
        read(output, 10)
