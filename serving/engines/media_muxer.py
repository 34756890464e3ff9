"""Puts subtitles into a video: picture and sound are copied as they are, packet by packet.

The result needs an index in front of what it indexes, so a pipe will not do: ffmpeg writes into a
file without a name, which it inherits, and which may not grow beyond the source by much.
"""

import os
from typing import BinaryIO

from cluster.sandbox import Sandbox, SandboxLimits
from cluster.settings import MediaSettings
from serving.containers import Container
from serving.engines.media_probe import complaint, failure, input_arguments
from serving.errors import MediaUnsupported
from serving.muxing import VideoFormat
from serving.speech import MuxRequest

UNDETERMINED = "und"
SLACK_BYTES = 16 * 1024 * 1024

LOOKALIKES = str.maketrans("<>{}\\", "\uff1c\uff1e\uff5b\uff5d\uff3c")
"""Fullwidth twins of the characters that begin and end markup."""

ISO_639_2 = dict(
    pair.split(":")
    for pair in (  # noqa: SIM905 - a hundred lines of quotes say no more
        "af:afr am:amh ar:ara as:asm az:aze ba:bak be:bel bg:bul bn:ben bo:bod br:bre bs:bos "
        "ca:cat cs:ces cy:cym da:dan de:deu el:ell en:eng es:spa et:est eu:eus fa:fas fi:fin "
        "fo:fao fr:fra gl:glg gu:guj ha:hau haw:haw he:heb hi:hin hr:hrv ht:hat hu:hun hy:hye "
        "id:ind is:isl it:ita ja:jpn jw:jav ka:kat kk:kaz km:khm kn:kan ko:kor la:lat lb:ltz "
        "ln:lin lo:lao lt:lit lv:lav mg:mlg mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt "
        "my:mya ne:nep nl:nld nn:nno no:nor oc:oci pa:pan pl:pol ps:pus pt:por ro:ron ru:rus "
        "sa:san sd:snd si:sin sk:slk sl:slv sn:sna so:som sq:sqi sr:srp su:sun sv:swe sw:swa "
        "ta:tam te:tel tg:tgk th:tha tk:tuk tl:tgl tr:tur tt:tat uk:ukr ur:urd uz:uzb vi:vie "
        "yi:yid yo:yor yue:yue zh:zho"
    ).split()
)
"""What containers call the languages that Whisper knows."""


def require_size(request: MuxRequest, media: MediaSettings) -> None:
    """Refuse a video that is too large to be copied here.

    Raises:
        MediaUnsupported: with the limit.
    """
    if request.source.size_bytes > media.max_mux_bytes:
        raise MediaUnsupported(
            f"The video has {request.source.size_bytes} bytes; subtitles are put into videos of up"
            f" to {media.max_mux_bytes}. Download the video and its subtitles one by one."
        )


def mux(
    sandbox: Sandbox,
    media: MediaSettings,
    container: Container,
    request: MuxRequest,
    files: tuple[BinaryIO, BinaryIO, BinaryIO],
) -> int:
    """Write video, sound and subtitles of the first two files into the third; its bytes.

    Raises:
        MediaUnsupported, MediaInvalid, DecoderLimit: it cannot be done, and why.
    """
    _, subtitles, target = files
    subtitles.write(_unmarked(request.subtitles).encode())
    subtitles.flush()
    # It has no name, so only who inherits the descriptor can write to it.
    os.fchmod(target.fileno(), 0o666)
    limits = SandboxLimits(
        memory_bytes=media.decoder_memory_bytes,
        wall_seconds=media.mux_seconds,
        output_bytes=0,
        file_bytes=request.source.size_bytes * 11 // 10 + SLACK_BYTES,
    )
    command = _command(container, media, request, [file.fileno() for file in files])
    _, ended = sandbox.run(command, limits, pass_fds=[file.fileno() for file in files])
    if ended.exceeded is not None:
        raise failure(ended, media)
    if not ended.succeeded:
        raise MediaUnsupported(
            f"Subtitles cannot be put into this video ({complaint(ended.stderr)}). Download the"
            " video and its subtitles one by one."
        )
    return os.fstat(target.fileno()).st_size


def _unmarked(subtitles: str) -> str:
    """The subtitles with nothing in their text that ffmpeg or a player takes for markup.

    SubRip knows no escapes, and what looks like a tag would be dropped.
    """
    lines = subtitles.splitlines(keepends=True)
    return "".join(line if "-->" in line else line.translate(LOOKALIKES) for line in lines)


def _command(
    container: Container, media: MediaSettings, request: MuxRequest, descriptors: list[int]
) -> list[str]:
    video, subtitles, target = descriptors
    language = ISO_639_2.get(request.language or "", UNDETERMINED)
    return [
        # Without time stamps, which AVI lacks, nothing can be copied.
        *("ffmpeg", "-nostdin", "-v", "error", "-y", "-fflags", "+genpts"),
        *input_arguments(container, video, media),
        *("-protocol_whitelist", "file", "-format_whitelist", "srt", "-f", "srt"),
        *("-i", f"/dev/fd/{subtitles}"),
        # A capital V leaves cover art out; other subtitles and data seldom fit the container.
        *("-map", "0:V", "-map", "0:a", "-map", "1:s", "-map_chapters", "-1"),
        *("-c:v", "copy", "-c:a", "copy", "-c:s", request.format.subtitle_codec),
        *("-metadata:s:s:0", f"language={language}", "-disposition:s:0", "default"),
        # The index goes in front, so that a player can start before it has everything.
        *(("-movflags", "+faststart") if request.format is VideoFormat.mp4 else ()),
        *("-f", request.format.muxer, f"/dev/fd/{target}"),
    ]
