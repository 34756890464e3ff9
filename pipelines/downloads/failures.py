"""What yt-dlp's complaints mean to a user: one table, tried in order."""

import re

from pipelines.errors import TaskFailed

UNREACHABLE = "source_unreachable"
UNSUPPORTED = "source_unsupported"

TABLE: tuple[tuple[str, str], ...] = (
    (r"HTTP Error (?:404|410)\b", "source_removed"),
    (r"HTTP Error 451\b", "source_geo_blocked"),
    (r"HTTP Error (?:401|403)\b", "source_private"),
    (r"redirect loop|HTTP Error 3\d\d\b", UNSUPPORTED),
    (r"HTTP Error (?:408|425|429|5\d\d)\b", UNREACHABLE),
    (
        (
            r"geo.?(?:restrict|block)|(?:from|in|to) your (?:current )?(?:location|country|region)"
            r"|your country|blocked in this region|in this (?:country|region)|outside of "
        ),
        "source_geo_blocked",
    ),
    (
        (
            r"will begin in|premieres? in|not (?:yet )?(?:currently )?(?:live|started)\b|is offline"
            r"|has not (?:yet )?started|upcoming"
        ),
        "source_live",
    ),
    (r"\bDRM\b", UNSUPPORTED),
    (
        (
            r"\bprivate\b|log ?in\b|sign in\b|registered users|password|members?[- ]only|subscri"
            r"|premium|confirm your age|age.restricted|purchase|cookies"
        ),
        "source_private",
    ),
    (
        (
            r"removed|deleted|no longer (?:exists?|available)|(?:does not|doesn't) exist|terminated"
            r"|(?:video|content|media|playlist|page) (?:is )?"
            r"(?:unavailable|not found|not available)"
            r"|has (?:ended|expired)"
        ),
        "source_removed",
    ),
    (
        (
            r"timed out|connection|unable to connect|incomplete ?read|more expected"
            r"|content too short|proxy error|EOF occurred|getaddrinfo"
            r"|unable to download (?:webpage|json|video data)"
            r"|failed to (?:download|parse) |giving up after"
        ),
        UNREACHABLE,
    ),
)
"""Pattern, error type. What no pattern knows is `source_unsupported`, with yt-dlp's own words."""

SAID = {
    "source_removed": "There is no recording at this address any more",
    "source_geo_blocked": "The site does not show this recording in the region of this server",
    "source_private": "The site shows this recording only to those it knows",
    "source_live": "The stream is still running, or has not begun",
    UNREACHABLE: "The site did not deliver the recording",
    UNSUPPORTED: "No recording can be fetched from this address",
}

PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in TABLE)
COMPLAINT = re.compile(r"^ERROR: (?:\[[^\]]*\] )?(?:[^\s:]{1,40}: )?(.+)$", re.MULTILINE)
ASIDE = re.compile(r"; please report this issue.*|\s*\(caused by .*|\. See +https?://.*", re.DOTALL)
REASON_CHARACTERS = 200
# What a site wrote, shown in one line.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def verdict(stderr: str) -> TaskFailed:
    """The failure behind yt-dlp's complaints."""
    reason = complaint(stderr)
    # The aside names the cause of a failed connection.
    known = (kind for pattern, kind in PATTERNS if pattern.search(reason + _cause(stderr)))
    kind = next(known, UNSUPPORTED)
    said = f"{SAID[kind]} ({reason or 'no reason given'})."
    return TaskFailed(kind, said, kind == UNREACHABLE)


def complaint(stderr: str) -> str:
    """The first error that yt-dlp reports, without its own advice."""
    found = COMPLAINT.search(stderr)
    reason = ASIDE.sub("", found[1] if found else "")
    return " ".join(UNPRINTABLE.sub(" ", reason).split())[:REASON_CHARACTERS].strip(" .")


def _cause(stderr: str) -> str:
    found = re.search(r"\(caused by ([^\n]{0,300})", stderr)
    return f" {found[1]}" if found else ""
