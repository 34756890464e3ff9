"""What a media file tells about itself beside its sound: ExifTool's tags and a video's thumbnail.

Neither is worth losing a transcript for: where they cannot be had, the log and the result say why.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from cluster.sandbox import Sandbox, SandboxLimits
from cluster.settings import MediaSettings
from serving.containers import Container
from serving.engines.media_probe import complaint, failure, input_arguments

REPORT_BYTES = 1024 * 1024
TEXT_CHARACTERS = 4_000
THUMBNAIL_BYTES = 256 * 1024
THUMBNAIL_SCALE = "scale=w=320:h=240:force_original_aspect_ratio=decrease:out_range=full"

IMPORTANT: Mapping[str, tuple[str, ...]] = {
    "FileSize": (),
    "MIMEType": (),
    "FileType": (),
    "FileTypeExtension": (),
    "VideoFormat": ("MajorBrand", "DocType"),
    "Duration": ("TrackDuration", "MediaDuration"),
    "FrameRate": ("VideoFrameRate", "AvgFrameRate"),
    "FrameCount": ("TotalFrames", "VideoFrameCount"),
    "VideoFrameRate": (),
    "VideoWidth": ("ImageWidth", "SourceImageWidth", "DisplayWidth"),
    "VideoHeight": ("ImageHeight", "SourceImageHeight", "DisplayHeight"),
    "AspectRatio": ("PixelAspectRatio", "DisplayAspectRatio"),
    "VideoCodec": ("CompressorID", "VideoCodecID", "VideoCodecName", "Compression"),
    "AudioFormat": ("AudioCodecID", "AudioCodec", "AudioEncoding", "Encoding", "CompressionType"),
    "AudioChannels": ("NumChannels", "Channels", "ChannelMode"),
    "AudioSampleRate": ("SampleRate",),
    "AudioBitsPerSample": ("BitsPerSample", "SampleSize", "AudioBitDepth", "BitDepth"),
    "DeviceManufacturer": ("Make", "AndroidManufacturer", "Manufacturer"),
    "DeviceModel": ("Model", "AndroidModel", "CameraModelName", "DeviceModelName"),
    "GPSLatitude": (),
    "GPSLongitude": (),
    "Software": ("Encoder", "WritingApp", "WriterApp", "MuxingApp", "CreatorTool"),
    "Title": ("Name",),
    "Artist": ("Performer", "AlbumArtist"),
    "Author": (),
    "Comment": ("UserComment",),
    "Description": ("ImageDescription", "Subject"),
    "LongDescription": (),
    "HandlerDescription": (),
    "MetadataError": ("Error",),
}
"""Our name of a tag, which ExifTool may use too, and its other names in order of preference."""

DATES: Mapping[str, tuple[str, ...]] = {
    "CreateDate": (
        *("ContentCreateDate", "CreationDate", "CreateDate", "DateTimeOriginal", "DateUTC"),
        *("MediaCreateDate", "TrackCreateDate", "CreationTime", "DateTimeDigitized"),
        *("OriginationDate", "RecordedDate", "DateRecorded", "RecordingTime", "EncodedDate"),
        *("DateCreated", "DateAcquired", "ReleaseDate", "Date", "Year"),
    ),
    "ModifyDate": ("ModifyDate", "MediaModifyDate", "TrackModifyDate"),
    "DateTimeOriginal": ("DateTimeOriginal",),
}
"""Tags that hold a moment; given as ISO 8601, with an offset only where the file states one."""

FURTHER = re.compile(r"creator|copyright|language|genre", re.IGNORECASE)

DATE = re.compile(
    r"(\d{4})[:-]?(\d\d)[:-]?(\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|[+-]\d\d:\d\d)?)?"
)

log = structlog.get_logger(__name__)


def read_metadata(sandbox: Sandbox, descriptor: int, media: MediaSettings) -> dict[str, Any]:
    """The important tags of a file, read by ExifTool from an inherited descriptor.

    Returns:
        Tags by our names; `MetadataError` says why there are none.
    """
    limits = SandboxLimits(media.decoder_memory_bytes, media.decoder_base_seconds, REPORT_BYTES)
    # An empty -config, which must come first, keeps ExifTool from running a configuration file.
    command = ["exiftool", "-config", "", "-json", "-n", "-api", "LargeFileSupport=1"]
    output, ended = sandbox.run([*command, f"/dev/fd/{descriptor}"], limits, pass_fds=[descriptor])
    try:
        # ExifTool reports success only where it knows the format; its JSON then holds `Error`.
        (tags,) = json.loads(output.decode("utf-8", "replace"))
    except ValueError:
        reason = ended.exceeded or complaint(ended.stderr) or "no answer"
        log.warning("metadata unreadable", reason=str(reason))
        return {"MetadataError": f"ExifTool: {reason}"}
    return pick(tags)


def pick(tags: Mapping[str, Any]) -> dict[str, Any]:
    """The important tags under our names, texts bounded and without NULs."""
    picked = {ours: _first(tags, (ours, *theirs)) for ours, theirs in IMPORTANT.items()}
    picked |= {ours: _first_date(tags, theirs) for ours, theirs in DATES.items()}
    picked |= {name: _clean(value) for name, value in tags.items() if FURTHER.search(name)}
    return {name: value for name, value in picked.items() if value is not None}


def _first(tags: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((_clean(tags[name]) for name in names if tags.get(name) not in (None, "")), None)


def _first_date(tags: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    dates = (_moment(str(tags.get(name, ""))) for name in names)
    return next((date for date in dates if date is not None), None)


def _moment(text: str) -> str | None:
    """ISO 8601 of a date or moment; None for what is none, and for clocks that were never set."""
    found = DATE.match(text)
    if found is None:
        return None
    year, month, day, time, offset = found.groups()
    iso = f"{year}-{month}-{day}" + (f"T{time}{offset or ''}" if time else "")
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return iso if moment.year > 1970 else None


def _clean(value: Any) -> Any:
    """A tag's value as JSON that PostgreSQL takes, of bounded size."""
    if isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    return encodable.replace("\x00", "")[:TEXT_CHARACTERS]


def thumbnail(
    sandbox: Sandbox,
    container: Container,
    descriptor: int,
    duration: float,
    media: MediaSettings,
) -> bytes | None:
    """A JPEG of at most 320x240 pixels from a tenth into a video; None if no frame can be had."""
    for second in (duration / 10, 0.0):
        jpeg = _frame(sandbox, container, descriptor, second, media)
        if jpeg:
            return jpeg
    return None


def _frame(
    sandbox: Sandbox,
    container: Container,
    descriptor: int,
    second: float,
    media: MediaSettings,
) -> bytes:
    limits = SandboxLimits(media.decoder_memory_bytes, media.decoder_base_seconds, THUMBNAIL_BYTES)
    command = [
        *("ffmpeg", "-nostdin", "-v", "error", "-ss", f"{second:.3f}"),
        *input_arguments(container, descriptor, media),
        # A capital V leaves cover art out.
        *("-map", "0:V:0", "-an", "-sn", "-dn", "-frames:v", "1"),
        *("-vf", f"{THUMBNAIL_SCALE},format=yuvj420p", "-c:v", "mjpeg", "-q:v", "5"),
        *("-f", "mjpeg", "pipe:1"),
    ]
    output, ended = sandbox.run(command, limits, pass_fds=[descriptor])
    if not ended.succeeded:
        log.warning("no thumbnail", reason=failure(ended, media).message)
        return b""
    return output
