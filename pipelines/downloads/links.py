"""One spelling for each address, so that the same one is known again."""

import re
from urllib.parse import parse_qs, urlencode

import httpx

YOUTUBE = re.compile(r"(?:(?:www|m|music)\.)?youtube(?:-nocookie)?\.com")
VIDEO_PATH = re.compile(r"/(?:shorts|embed|live|v)/([\w-]{11})")
VIDEO_ID = re.compile(r"[\w-]{11}")


def canonical(url: str) -> str:
    """The address without what does not choose the recording; may raise httpx.InvalidURL."""
    parsed = httpx.URL(url.strip()).copy_with(fragment=None)
    # An empty path is written out.
    return _youtube(parsed) or str(parsed.copy_with(raw_path=parsed.raw_path))


def _youtube(url: httpx.URL) -> str | None:
    """The seed's canonical forms of videos and playlists of YouTube; None: it is something else."""
    query = parse_qs(url.query.decode("ascii"))
    video, playlist = None, None
    if url.host == "youtu.be":
        video = VIDEO_ID.match(url.path[1:])
    elif YOUTUBE.fullmatch(url.host):
        of_path = VIDEO_PATH.match(url.path)
        video = of_path and VIDEO_ID.match(of_path[1])
        if url.path == "/watch":
            video = VIDEO_ID.fullmatch(query.get("v", [""])[0])
        if url.path == "/playlist":
            playlist = query.get("list", [""])[0]
    if video:
        return f"https://www.youtube.com/watch?v={video[0]}"
    if playlist:
        return f"https://www.youtube.com/playlist?{urlencode({'list': playlist})}"
    return None
