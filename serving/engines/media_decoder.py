"""The sandboxed media decoder: any accepted file to 16 kHz mono blocks, and what is known of it.

Media files are other people's programs for a very large C library. Every byte of them is read by
ffprobe, ffmpeg and ExifTool inside `cluster.sandbox`, through an inherited descriptor of a file
without a name; a user's file name is never given to a program.
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from os import fstat, pread
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from cluster.sandbox import Sandbox, SandboxedProcess, SandboxLimits, program
from cluster.settings import MediaSettings
from serving.containers import HEAD_BYTES, Container, sniff
from serving.engines.media_fetch import MediaFetch, spooled
from serving.engines.media_metadata import read_metadata, thumbnail
from serving.engines.media_muxer import mux, require_size
from serving.engines.media_probe import (
    Header,
    check,
    check_duration,
    complaint,
    failure,
    input_arguments,
    read_header,
    too_long,
)
from serving.errors import MediaInvalid, SpeechError
from serving.speech import (
    SAMPLE_RATE,
    DecodedBlock,
    MediaProbe,
    MediaSource,
    MuxRequest,
    Pcm,
    Preparation,
    SpeechRegion,
)

SAMPLE_BYTES = 2
PEAKS = 2_000
PEAK_SAMPLES = SAMPLE_RATE // 100
"""Samples behind one raw peak, 10 ms; blocks hold a whole number of them."""

TAG_BYTES = 16 * 1024 * 1024
"""How far to look behind an ID3 tag, which may hold pictures, for what it is in front of."""

MATRIX_CHANNELS = 8
"""Up to here ffmpeg has a downmix for every layout it can name."""


class VoiceActivityStream(Protocol):
    """Hears one recording, block by block."""

    def push(self, audio: Pcm) -> None:
        """Take the next samples."""

    def finish(self) -> tuple[SpeechRegion, ...]:
        """Where speech was."""


class VoiceActivity(Protocol):
    """Where a recording holds speech."""

    def load(self) -> None:
        """Read the weights."""

    def stream(self) -> VoiceActivityStream:
        """Start a recording."""


@dataclass(frozen=True, slots=True)
class MediaDecoderOptions:
    """Limits of what is accepted, and where files lie while they are decoded."""

    media: MediaSettings
    spool_dir: Path | None = None
    """None: the machine's directory for temporary files. A whole media file must fit."""
    fetch_timeout_seconds: float = 30.0
    """How long the object store may stay silent."""
    end_bytes: int = 16 * 1024 * 1024
    """How much of a large file's head, and of its tail, is fetched to read its header."""


class MediaDecoder:
    """Reads headers and decodes recordings. Threads may share one: calls leave nothing behind."""

    def __init__(self, options: MediaDecoderOptions, voice_activity: VoiceActivity) -> None:
        self._options = options
        self._media = options.media
        self._voice_activity = voice_activity
        self._sandbox = Sandbox()

    @property
    def network_isolated(self) -> bool:
        """Decoders run without any network; False where the kernel or container forbids that."""
        return self._sandbox.network_isolated

    def load(self) -> None:
        """Load voice activity detection, and see that the programs are there.

        Raises:
            SandboxUnavailable: ffmpeg, ffprobe or ExifTool is not installed.
        """
        for name in ("ffmpeg", "ffprobe", "exiftool"):
            program(name)
        self._voice_activity.load()

    def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header. Of a large file only head and tail are fetched, if they suffice.

        Raises:
            MediaInvalid, MediaUnsupported, NoAudio, AudioTooShort, AudioTooLong, DecoderLimit:
                the file is not acceptable, with what to do about it.
            SpeechUnavailable: the object store did not deliver the file.
        """
        with self._fetch(source) as (file, fetch):
            if source.size_bytes > 2 * self._options.end_bytes:
                fetch.ends(file, self._options.end_bytes)
                header = self._header_of_ends(file)
                if header is not None:
                    return header.probe
            fetch.whole(file)
            return self._header(file).probe

    def prepare(self, source: MediaSource) -> Generator[DecodedBlock | Preparation, None, None]:
        """Decode block by block; the last item is the Preparation.

        A file that is cut off or damaged in its middle is decoded as far as ffmpeg can: people
        want the words that are there. The metadata's `DecodingWarning` then says how much is
        missing. ffmpeg gives up, and so do we, where more than two thirds of the frames are
        broken. Closing the iterator ends the decoder.

        Raises:
            As `probe`. Blocks that came before an error are not to be used.
        """
        with self._fetch(source) as (file, fetch):
            fetch.whole(file)
            header = self._header(file)
            decoding = _Decoding(self._sandbox, self._media, header, file.fileno())
            hearing = self._voice_activity.stream()
            waveform = Waveform()
            with closing(decoding.blocks()) as blocks:
                for index, audio in enumerate(blocks):
                    hearing.push(audio)
                    waveform.push(audio)
                    yield DecodedBlock(index, audio)
            yield self._preparation(file, decoding, hearing.finish(), waveform)

    def mux(self, request: MuxRequest) -> int:
        """Put subtitles into a video, and the result to its URL; the result's bytes.

        Raises:
            MediaUnsupported: this video cannot have them here.
            MediaInvalid, DecoderLimit: it cannot be read.
            SpeechUnavailable: the object store did not deliver the video, or not take the result.
        """
        require_size(request, self._media)
        spool_dir = self._options.spool_dir
        with (
            self._fetch(request.source) as (file, fetch),
            spooled(spool_dir) as subtitles,
            spooled(spool_dir) as target,
        ):
            fetch.whole(file)
            files = (file, subtitles, target)
            size = mux(self._sandbox, self._media, _container(file), request, files)
            fetch.deliver(target, request.target_url)
            return size

    def _preparation(
        self,
        file: BinaryIO,
        decoding: "_Decoding",
        regions: tuple[SpeechRegion, ...],
        waveform: "Waveform",
    ) -> Preparation:
        probe, descriptor = decoding.header.probe, file.fileno()
        metadata = read_metadata(self._sandbox, descriptor, self._media)
        if decoding.warning:
            metadata["DecodingWarning"] = decoding.warning
        picture = None
        if probe.has_video:
            container = Container(probe.container)
            picture = thumbnail(
                self._sandbox, container, descriptor, decoding.duration, self._media
            )
        return Preparation(decoding.duration, regions, waveform.peaks(), probe, metadata, picture)

    @contextmanager
    def _fetch(self, source: MediaSource) -> Iterator[tuple[BinaryIO, MediaFetch]]:
        options = self._options
        fetch = MediaFetch(source, options.fetch_timeout_seconds)
        with closing(fetch), spooled(options.spool_dir) as file:
            yield file, fetch

    def _header(self, file: BinaryIO) -> Header:
        """Magic bytes, then ffprobe, then the limits."""
        container = _container(file)
        header = read_header(self._sandbox, container, file.fileno(), self._media)
        check(header, self._media)
        return header

    def _header_of_ends(self, file: BinaryIO) -> Header | None:
        """The header, or None where head and tail do not settle it.

        What they show is trusted only when it is acceptable: an index that lies in the hole, or
        is cut by it, makes a good file look broken. A fragmented MP4 (`mvex`) states no duration
        before its last fragment is read.
        """
        container = _container(file)
        size = fstat(file.fileno()).st_size
        length = self._options.end_bytes
        ends = (pread(file.fileno(), length, at) for at in (0, size - length))
        if container is Container.mp4 and any(b"mvex" in end for end in ends):
            return None
        try:
            return self._header(file)
        except SpeechError:
            return None


def _container(file: BinaryIO) -> Container:
    head = pread(file.fileno(), HEAD_BYTES, 0)
    if head.startswith(b"ID3"):
        head = pread(file.fileno(), TAG_BYTES, 0)
    return sniff(head)


class _Decoding:
    """One run of ffmpeg over one file."""

    def __init__(
        self, sandbox: Sandbox, media: MediaSettings, header: Header, descriptor: int
    ) -> None:
        self.header = header
        self.warning: str | None = None
        self._sandbox = sandbox
        self._media = media
        self._descriptor = descriptor
        self._samples = 0

    @property
    def duration(self) -> float:
        """Seconds decoded so far."""
        return self._samples / SAMPLE_RATE

    def blocks(self) -> Generator[Pcm, None, None]:
        """The recording in blocks; no more of it is in memory at a time than one block."""
        block_bytes = self._media.block_seconds * SAMPLE_RATE * SAMPLE_BYTES
        with self._start() as process:
            while data := process.read(block_bytes):
                del data[len(data) & ~1 :]
                audio = np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)
                self._samples += len(audio)
                if self.duration > self._media.max_audio_seconds:
                    raise too_long(self._media)
                yield audio
            self._judge(process)

    def _start(self) -> SandboxedProcess:
        media = self._media
        longest = media.max_audio_seconds
        expected = min(self.header.stated_duration or longest, longest)
        limits = SandboxLimits(
            memory_bytes=media.decoder_memory_bytes,
            wall_seconds=(
                media.decoder_base_seconds + media.decoder_seconds_per_audio_second * expected
            ),
            output_bytes=int((longest + 2) * SAMPLE_RATE) * SAMPLE_BYTES,
        )
        return self._sandbox.start(self._command(), limits, pass_fds=[self._descriptor])

    def _command(self) -> list[str]:
        container = Container(self.header.probe.container)
        return [
            *("ffmpeg", "-nostdin", "-v", "error"),
            *input_arguments(container, self._descriptor, self._media),
            *("-map", "0:a:0", "-vn", "-sn", "-dn", "-filter_threads", "1"),
            *("-af", ",".join(_filters(self.header))),
            # A second more than allowed tells a recording that is too long from one that fits.
            *("-t", f"{self._media.max_audio_seconds + 1:.3f}"),
            *("-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"),
        ]

    def _judge(self, process: SandboxedProcess) -> None:
        """Say whether what was decoded is the recording."""
        ended = process.finish()
        if not ended.succeeded:
            raise failure(ended, self._media)
        promised = self.header.promised_duration
        if promised is None or self.duration >= promised - max(1.0, 0.02 * promised):
            check_duration(self.duration, self._media)
            return
        reason = complaint(ended.stderr)
        shortfall = (
            f"Only {self.duration:.2f} s of the {promised:.2f} s that the header announces can be"
            f" decoded{f' ({reason})' if reason else ''}: the file is cut off or damaged."
        )
        if self.duration < self._media.min_audio_seconds:
            raise MediaInvalid(shortfall)
        self.warning = shortfall


def _filters(header: Header) -> list[str]:
    """One channel at 16 kHz on the time axis that a player shows.

    `aresample=async=1` fills gaps in the time stamps with silence and a late start too, so that
    word times fit the video; it comes last, where silence is cheapest. Channels that the file does
    not assign to loudspeakers are averaged, because a guessed layout would drop one as subwoofer.
    """
    filters = ["aformat=sample_fmts=s16:sample_rates=16000:channel_layouts=mono"]
    channels = header.probe.channels
    known = header.channel_layout is not None and channels <= MATRIX_CHANNELS
    if channels > 2 and not known:
        average = "+".join(f"{1 / channels:.6f}*c{index}" for index in range(channels))
        filters.insert(0, f"pan=mono|c0={average}")
    return [*filters, "aresample=async=1:first_pts=0"]


class Waveform:
    """Peaks of a recording whose length is not known in advance; 8 MB for 12 hours."""

    def __init__(self) -> None:
        self._raw: list[npt.NDArray[np.uint16]] = []

    def push(self, audio: Pcm) -> None:
        """Take the next block; only the last one may hold a broken number of PEAK_SAMPLES."""
        padded = np.pad(audio, (0, -len(audio) % PEAK_SAMPLES)).reshape(-1, PEAK_SAMPLES)
        # -32768 has no positive twin in int16.
        loudest = np.maximum(padded.max(axis=1), -padded.min(axis=1).astype(np.int32))
        self._raw.append(loudest.astype(np.uint16))

    def peaks(self) -> tuple[float, ...]:
        """At most PEAKS values in 0..1, equally spaced over the recording."""
        raw = np.concatenate(self._raw) if self._raw else np.zeros(0, np.uint16)
        count = min(PEAKS, len(raw))
        if count == 0:
            return ()
        starts = np.arange(count) * len(raw) // count
        return tuple((np.maximum.reduceat(raw, starts) / 32768).round(4).tolist())
