"""What media type a container is served as; the client's own claim is not believed."""

from collections.abc import Collection, Mapping

from serving.containers import Container
from serving.muxing import WEBM_CODECS

AUDIO: Mapping[Container, str] = {
    Container.mp4: "audio/mp4",
    Container.matroska: "audio/x-matroska",
    Container.ogg: "audio/ogg",
    Container.wav: "audio/wav",
    Container.w64: "audio/x-w64",
    Container.avi: "video/x-msvideo",
    Container.mp3: "audio/mpeg",
    Container.aac: "audio/aac",
    Container.flac: "audio/flac",
    Container.aiff: "audio/aiff",
    Container.asf: "audio/x-ms-wma",
    Container.mpegts: "video/mp2t",
    Container.mpeg: "video/mpeg",
    Container.amr: "audio/amr",
    Container.caf: "audio/x-caf",
    Container.au: "audio/basic",
    Container.flv: "video/x-flv",
}

VIDEO: Mapping[Container, str] = {
    Container.mp4: "video/mp4",
    Container.matroska: "video/x-matroska",
    Container.ogg: "video/ogg",
    Container.asf: "video/x-ms-wmv",
}


def media_type(container: Container, *, has_video: bool, codecs: Collection[str]) -> str:
    """The media type of a container with or without pictures; `codecs` by ffmpeg's names."""
    if container is Container.matroska and codecs and WEBM_CODECS.issuperset(codecs):
        return "video/webm" if has_video else "audio/webm"
    return VIDEO.get(container, AUDIO[container]) if has_video else AUDIO[container]
