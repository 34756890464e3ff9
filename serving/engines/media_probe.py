"""Reads a media file's header with ffprobe in the sandbox and says what is unacceptable in it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cluster.sandbox import Resource, Sandbox, SandboxExit, SandboxLimits
from cluster.settings import MediaSettings
from serving.containers import Container
from serving.errors import (
    AudioTooLong,
    AudioTooShort,
    DecoderLimit,
    MediaInvalid,
    MediaUnsupported,
    NoAudio,
    SpeechError,
)
from serving.speech import MediaProbe

SAMPLE_RATES = range(1_000, 768_001)
"""What recordings have, Hz: below is no speech, above is a broken header."""

MAX_PIXELS = 64_000_000
"""The largest picture that is decoded (8K video has 33 million pixels): cover art can be a bomb."""

REPORT_BYTES = 1024 * 1024

ENTRIES = (
    "format=duration,start_time,bit_rate"
    ":stream=index,codec_type,codec_name,sample_rate,channels,channel_layout,duration,bit_rate,"
    "width,height,avg_frame_rate"
    ":stream_disposition=attached_pic,default"
)

NOISE = re.compile(r"\[[^\]]* @ 0x[0-9a-f]+\] |/dev/fd/\d+(: )?")


@dataclass(frozen=True, slots=True)
class Header:
    """What ffprobe found, with what only the decoder wants to know."""

    probe: MediaProbe
    duration_is_estimate: bool
    """Guessed from the bit rate of the first frames: nothing may be refused on its account."""
    covers_other_streams: bool
    """The duration is that of the whole container, and other streams may last longer."""
    channel_layout: str | None
    """The layout by ffmpeg's name; None: the file does not say which channel is where."""

    @property
    def stated_duration(self) -> float | None:
        """Seconds that the header vouches for."""
        return None if self.duration_is_estimate else self.probe.duration

    @property
    def promised_duration(self) -> float | None:
        """Seconds of audio that must be there, or the file is not whole."""
        return None if self.covers_other_streams else self.stated_duration


def input_arguments(container: Container, descriptor: int, media: MediaSettings) -> list[str]:
    """How ffmpeg and ffprobe open an inherited descriptor: one demuxer, local files only.

    The `file` protocol is what opens /dev/fd; `pipe:` could not seek, and MP4 needs that. The only
    demuxer allowed is the one that the magic bytes name, so nothing in the file selects another.
    """
    return [
        *("-protocol_whitelist", "file"),
        *("-format_whitelist", container.demuxer),
        *("-max_streams", str(media.max_streams)),
        *("-max_pixels", str(MAX_PIXELS)),
        *("-threads", "1"),
        *("-f", container.demuxer),
        *("-i", f"/dev/fd/{descriptor}"),
    ]


def read_header(
    sandbox: Sandbox, container: Container, descriptor: int, media: MediaSettings
) -> Header:
    """Run ffprobe on an inherited descriptor.

    Raises:
        MediaInvalid, MediaUnsupported, NoAudio, DecoderLimit: no audio can be had from it.
    """
    limits = SandboxLimits(media.decoder_memory_bytes, media.decoder_base_seconds, REPORT_BYTES)
    command = ["ffprobe", "-v", "warning", "-print_format", "json", "-show_entries", ENTRIES]
    command += input_arguments(container, descriptor, media)
    output, ended = sandbox.run(command, limits, pass_fds=[descriptor])
    if not ended.succeeded:
        raise failure(ended, media)
    report: dict[str, Any] = json.loads(output.decode("utf-8", "replace"))
    estimate = "Estimating duration from bitrate" in ended.stderr
    return _header(container, report, estimate, ended.stderr)


def check(header: Header, media: MediaSettings) -> None:
    """Refuse what the header says is outside this installation's limits.

    Raises:
        MediaInvalid, MediaUnsupported, AudioTooShort, AudioTooLong: with the limit in the message.
    """
    probe = header.probe
    if probe.sample_rate not in SAMPLE_RATES or probe.channels < 1:
        raise MediaInvalid(
            f"The header announces {probe.sample_rate} Hz and {probe.channels} channels, which"
            " cannot be. The file is damaged; export it again."
        )
    if probe.channels > media.max_channels:
        raise MediaUnsupported(
            f"The recording has {probe.channels} channels; at most {media.max_channels} are"
            " accepted. Mix it down first."
        )
    streams = len(probe.raw["streams"])
    if streams > media.max_streams:
        raise too_many_streams(media)
    if header.stated_duration is not None:
        check_duration(header.stated_duration, media)


def check_duration(seconds: float, media: MediaSettings) -> None:
    """Refuse recordings that are too short or too long.

    Raises:
        AudioTooShort, AudioTooLong: with the limit in the message.
    """
    if seconds < media.min_audio_seconds:
        raise AudioTooShort(
            f"The recording lasts {seconds:.3g} s; at least {media.min_audio_seconds:g} s are"
            " needed to hold speech."
        )
    if seconds > media.max_audio_seconds:
        raise too_long(media)


def too_long(media: MediaSettings) -> AudioTooLong:
    """The error for a recording that exceeds the duration limit."""
    return AudioTooLong(
        f"The recording is longer than {media.max_audio_seconds:g} s"
        f" ({media.max_audio_seconds / 3600:.3g} h), the most that is accepted. Split it."
    )


def too_many_streams(media: MediaSettings) -> MediaUnsupported:
    """The error for a file that holds too many streams."""
    return MediaUnsupported(
        f"The file holds more than {media.max_streams} streams, the most that is accepted. Export"
        " it with one audio stream."
    )


def failure(ended: SandboxExit, media: MediaSettings) -> SpeechError:
    """The error behind a decoder's end."""
    if "max_streams" in ended.stderr:
        return too_many_streams(media)
    if ended.exceeded is not None:
        return DecoderLimit(_exceeded(ended.exceeded, media))
    if "moov atom not found" in ended.stderr:
        return MediaInvalid(
            "The file is cut off: its index (moov) is missing. Upload the whole file."
        )
    if ended.returncode < 0:
        return MediaInvalid("The file makes the decoder crash. It is damaged; export it again.")
    reason = complaint(ended.stderr) or "no reason given"
    return MediaInvalid(f"The file cannot be decoded ({reason}). Export it again.")


def complaint(stderr: str) -> str:
    """The first line of what a decoder complains about, without addresses and descriptors."""
    lines = (NOISE.sub("", line).strip() for line in stderr.splitlines())
    return next((line[:200] for line in lines if line), "").replace("\x00", "")


def _exceeded(resource: Resource, media: MediaSettings) -> str:
    what = {
        Resource.memory: f"more than {media.decoder_memory_bytes // 2**20} MiB of memory",
        Resource.time: "more time than its length justifies",
        Resource.output: "more output than its length justifies",
        Resource.killed: "more CPU time or memory than this machine grants",
    }[resource]
    return (
        f"Decoding the file takes {what}. Export it as plain WAV, FLAC or MP3, or ask the"
        " operator to raise the decoder's limits."
    )


def _header(container: Container, report: dict[str, Any], estimate: bool, stderr: str) -> Header:
    streams: Sequence[dict[str, Any]] = report.get("streams", [])
    audio = [each for each in streams if each.get("codec_type") == "audio"]
    if not audio:
        raise NoAudio(_without_audio(streams))
    first, form = audio[0], report.get("format", {})
    _check_codec(first, stderr)
    seconds = first.get("duration") or form.get("duration")
    probe = MediaProbe(
        container=container.value,
        duration=float(seconds) if seconds else None,
        has_video=any(_is_video(each) for each in streams),
        audio_codec=first["codec_name"],
        sample_rate=int(first.get("sample_rate", 0)),
        channels=int(first.get("channels", 0)),
        codecs=tuple(
            sorted({each["codec_name"] for each in streams if _is_video(each) or each in audio})
        ),
        raw={"format": form, "streams": list(streams)},
    )
    covers_others = len(streams) > 1 and "duration" not in first
    return Header(probe, estimate, covers_others, first.get("channel_layout"))


def _check_codec(stream: dict[str, Any], stderr: str) -> None:
    unknown = re.search(rf"Unsupported codec .* input stream {stream['index']}\b", stderr)
    if unknown or "codec_name" not in stream:
        name = stream.get("codec_name", "unknown")
        raise MediaUnsupported(
            f"The audio is in a codec that this installation cannot decode ({name}). Export it as"
            " AAC, MP3, Opus, FLAC or WAV."
        )


def _without_audio(streams: Sequence[dict[str, Any]]) -> str:
    kinds = sorted({str(each.get("codec_type", "data")) for each in streams}) or ["nothing"]
    return f"The file has no audio stream (it holds {', '.join(kinds)}). Upload one with sound."


def _is_video(stream: dict[str, Any]) -> bool:
    is_cover_art = stream.get("disposition", {}).get("attached_pic")
    return stream.get("codec_type") == "video" and not is_cover_art
