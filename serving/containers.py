"""Which media container a file's first bytes are; the file name is never asked.

Light, so that the HTTP door can ask it at upload. What is not on the list of containers is refused
before any decoder sees it; playlists above all, because they make a decoder open other addresses.
"""

import re
from collections.abc import Callable
from enum import StrEnum

from serving.errors import MediaInvalid, MediaUnsupported

HEAD_BYTES = 64 * 1024
"""How much of a file `sniff` likes to see; it looks at no more unless an ID3 tag comes first."""

ACCEPTED = (
    "MP4/M4A/MOV/3GP, WebM/Matroska, MP3, AAC, WAV, FLAC, Ogg/Opus, AIFF, WMA/WMV, AVI, FLV,"
    " MPEG-TS/PS, AMR, CAF, AU, W64"
)


class Container(StrEnum):
    """A media container that is accepted."""

    mp4 = "mp4"
    matroska = "matroska"
    ogg = "ogg"
    wav = "wav"
    w64 = "w64"
    avi = "avi"
    mp3 = "mp3"
    aac = "aac"
    flac = "flac"
    aiff = "aiff"
    asf = "asf"
    mpegts = "mpegts"
    mpeg = "mpeg"
    amr = "amr"
    caf = "caf"
    au = "au"
    flv = "flv"

    @property
    def demuxer(self) -> str:
        """The name of the only demuxer of ffmpeg that may read it."""
        return "mov" if self is Container.mp4 else self.value


SIGNATURES: tuple[tuple[int, bytes, Container], ...] = (
    (0, b"\x1aE\xdf\xa3", Container.matroska),
    (0, b"OggS", Container.ogg),
    (0, b"fLaC", Container.flac),
    (0, b"riff\x2e\x91\xcf\x11", Container.w64),
    (0, b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel", Container.asf),
    (0, b"\x00\x00\x01\xba", Container.mpeg),
    (0, b"#!AMR", Container.amr),
    (0, b"caff\x00\x01", Container.caf),
    (0, b".snd", Container.au),
    (0, b"FLV\x01", Container.flv),
)
"""Offset, magic bytes, container; formats that need more than this have a function below."""

RIFF_FORMS = {b"WAVE": Container.wav, b"AVI ": Container.avi, b"AVIX": Container.avi}

QUICKTIME_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

FOREIGN_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a ZIP archive or office document"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"(\xb5/\xfd", "a Zstandard archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
    (0, b"{\\rtf", "a rich text document"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)

IMAGE_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (0, b"BM", "a BMP image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"8BPS", "a Photoshop image"),
    (0, b"MThd", "a MIDI file, which holds notes and no sound"),
)

PLAYLIST = re.compile(
    rb"""^\s*(?:\#EXT | \[playlist\] | \[reference\] | ffconcat\b | concatf?: | subfile[:,]
      | file\s+['"/] | v=0\r?\n(?=[\s\S]*\b[cmost]=)
      | (?:https?|rtsp|rtmp|rtp|mms|s?ftp|file|data|crypto|async|cache):/?/)
      | <(?:MPD|smil|asx|playlist|xspf|SmoothStreamingMedia)\b""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
SVG = re.compile(rb"<svg\b", re.IGNORECASE)
HTML = re.compile(rb"<!doctype html|<html\b|<head\b", re.IGNORECASE)

CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))


def sniff(head: bytes) -> Container:
    """The container that a file's first bytes announce.

    Args:
        head: the first bytes of the file, HEAD_BYTES of them where there are so many; more where
            a long ID3 tag (cover art) comes first, or the tag alone decides for MP3.

    Raises:
        MediaInvalid: empty, text, an archive, a document, or bytes of no known kind.
        MediaUnsupported: an image, a playlist or another kind of media that is not accepted.
    """
    if not head:
        raise MediaInvalid("The file is empty (0 bytes). Upload it again.")
    body = head[_id3_bytes(head) :]
    container = _recognised(body[:HEAD_BYTES])
    if container:
        return container
    if len(body) < len(head) or head.startswith(b"ID3"):
        return Container.mp3
    _refuse(head[:HEAD_BYTES])
    if _mpeg_frames(head[:HEAD_BYTES].lstrip(b"\x00")):
        return Container.mp3
    raise MediaInvalid(f"The file is of no known kind. {_accepted()}")


def _recognised(head: bytes) -> Container | None:
    for offset, magic, container in SIGNATURES:
        if head.startswith(magic, offset):
            return container
    for looks_like in (_riff, _iff, _quicktime, _adts, _mpegts):
        found = looks_like(head)
        if found:
            return found
    return None


def _riff(head: bytes) -> Container | None:
    known = head[:4] in {b"RIFF", b"RIFX", b"RF64", b"BW64"}
    return RIFF_FORMS.get(head[8:12]) if known else None


def _iff(head: bytes) -> Container | None:
    known = head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}
    return Container.aiff if known else None


def _quicktime(head: bytes) -> Container | None:
    if head[4:8] not in QUICKTIME_BOXES or head[8:12] in IMAGE_BRANDS:
        return None
    return Container.mp4


def _mpegts(head: bytes) -> Container | None:
    # Plain packets have 188 bytes; those of camcorders and Blu-ray four more, in front.
    for first, length in ((0, 188), (4, 192)):
        if all(head[first + n * length : first + n * length + 1] == b"\x47" for n in range(3)):
            return Container.mpegts
    return None


def _adts(head: bytes) -> Container | None:
    return Container.aac if _chain(head, _adts_frame_bytes) else None


def _mpeg_frames(head: bytes) -> bool:
    """MPEG audio at the start, or soon after it, as in recordings of a running stream."""
    if _chain(head, _mpeg_frame_bytes):
        return True
    starts = (match.start() for match in re.finditer(rb"\xff[\xe2-\xff]", head[:8192]))
    return any(_chain(head[start:], _mpeg_frame_bytes, whole=3) for start in starts)


def _chain(data: bytes, frame_bytes: Callable[[bytes], int], whole: int = 1) -> bool:
    """Whether three frame headers follow each other, each where the one before says.

    A file that ends in between will do, if it holds `whole` frames.
    """
    position = 0
    for count in range(3):
        length = frame_bytes(data[position : position + 7])
        if not length:
            return count >= whole and len(data) - 3 <= position <= len(data)
        position += length
    return True


def _adts_frame_bytes(header: bytes) -> int:
    """Length of an ADTS frame; 0 if this is no header (12 sync bits, layer 0, known rate)."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    if (header[2] >> 2) & 0xF > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= 7 else 0


BITRATES_KBPS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By MPEG version (1, or 2 and 2.5) and layer: ISO 11172-3 and 13818-3."""


def _mpeg_frame_bytes(header: bytes) -> int:
    """Length of an MPEG audio frame; 0 if this is no header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version_bits, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_index, bitrate_index = header[2] >> 2 & 3, header[2] >> 4
    if version_bits == 1 or layer == 4 or rate_index == 3 or bitrate_index in {0, 15}:
        return 0
    version = 1 if version_bits == 3 else 2
    rate = (44100, 48000, 32000)[rate_index] // {3: 1, 2: 2, 0: 4}[version_bits]
    bitrate = BITRATES_KBPS[version, layer][bitrate_index] * 1000
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12 * bitrate // rate + padding) * 4
    return (72 if version == 2 and layer == 3 else 144) * bitrate // rate + padding


def _id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag at the start, or 0. The size has 7 bits per byte."""
    if len(head) < 10 or not head.startswith(b"ID3") or max(head[6:10]) > 0x7F:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size


def _refuse(head: bytes) -> None:
    """Raise for what is recognised and not accepted."""
    for offset, magic, name in IMAGE_SIGNATURES:
        if head.startswith(magic, offset):
            raise MediaUnsupported(f"The file is {name}, not a recording. {_accepted()}")
    if head[4:8] == b"ftyp":
        raise MediaUnsupported(f"The file is an HEIC or AVIF image, not a recording. {_accepted()}")
    for offset, magic, name in FOREIGN_SIGNATURES:
        if head.startswith(magic, offset):
            raise MediaInvalid(f"The file is {name}, not a recording. {_accepted()}")
    text = _text(head)
    if text is not None:
        _refuse_text(text)


def _text(head: bytes) -> bytes | None:
    """The text that these bytes are, as UTF-8, or None for binary data."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) & ~1].decode("utf-16", "replace").encode("utf-8", "replace")
    if head.translate(None, CONTROL_BYTES) != head:
        return None
    return head.removeprefix(b"\xef\xbb\xbf")


def _refuse_text(text: bytes) -> None:
    if HTML.search(text):
        raise MediaInvalid(
            "The file is a web page, not a recording; a download link often leads to one."
            f" {_accepted()}"
        )
    if SVG.search(text):
        raise MediaUnsupported(f"The file is an SVG image, not a recording. {_accepted()}")
    if PLAYLIST.search(text):
        raise MediaUnsupported(
            "The file is a playlist or stream description, which only names recordings."
            f" Upload the recording itself. {_accepted()}"
        )
    raise MediaInvalid(f"The file is text, not a recording. {_accepted()}")


def _accepted() -> str:
    return f"Accepted are {ACCEPTED}."
