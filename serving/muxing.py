"""Videos with subtitles that can be switched on: which container takes what. Light: no program."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from serving.containers import Container

WEBM_CODECS = frozenset({"vp8", "vp9", "av1", "opus", "vorbis"})
"""All that WebM may hold; the same in Matroska is WebM to a player."""

MP4_CODECS = frozenset(
    {"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mjpeg"}
    | {"aac", "mp3", "mp2", "ac3", "eac3", "alac", "flac", "opus"}
)
"""What ffmpeg writes into MP4; a QuickTime file may hold more (ProRes, plain PCM)."""


class VideoFormat(StrEnum):
    """What a video with subtitles is written as; also the file name's suffix."""

    mp4 = "mp4"
    webm = "webm"
    mkv = "mkv"

    @property
    def media_type(self) -> str:
        """Its media type."""
        return MEDIA_TYPES[self]

    @property
    def muxer(self) -> str:
        """The name of ffmpeg's muxer."""
        return "matroska" if self is VideoFormat.mkv else self.value

    @property
    def subtitle_codec(self) -> str:
        """The kind of subtitles that players of this format know."""
        return SUBTITLE_CODECS[self]


MEDIA_TYPES: Mapping[VideoFormat, str] = {
    VideoFormat.mp4: "video/mp4",
    VideoFormat.webm: "video/webm",
    VideoFormat.mkv: "video/x-matroska",
}
SUBTITLE_CODECS: Mapping[VideoFormat, str] = {
    VideoFormat.mp4: "mov_text",
    VideoFormat.webm: "webvtt",
    VideoFormat.mkv: "subrip",
}


def format_for(container: str, codecs: Collection[str]) -> VideoFormat:
    """The format that keeps a video as it is: its own, else Matroska, which takes everything.

    Args:
        container: the source's, by `Container`'s names.
        codecs: of its picture and sound, by ffmpeg's names; none: not known.
    """
    if container == Container.mp4 and codecs and MP4_CODECS.issuperset(codecs):
        return VideoFormat.mp4
    if container == Container.matroska and codecs and WEBM_CODECS.issuperset(codecs):
        return VideoFormat.webm
    return VideoFormat.mkv
