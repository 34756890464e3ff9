"""Which of a site's formats is fetched, as yt-dlp's options `-f` and `-S`.

One file with sound, as the site has it: nothing is merged or converted, which would take ffmpeg in
a program that reaches the network. Where a site has its best pictures without sound (YouTube above
360p) the largest one with sound is fetched: what is transcribed is the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class VideoQuality(StrEnum):
    """The largest picture."""

    best = "best"
    p2160 = "2160p"
    p1440 = "1440p"
    p1080 = "1080p"
    p720 = "720p"
    p480 = "480p"
    p360 = "360p"


class AudioQuality(StrEnum):
    """Most kilobits a second of sound."""

    best = "best"
    k320 = "320"
    k192 = "192"
    k128 = "128"


@dataclass(frozen=True, slots=True)
class Quality:
    """What was asked for."""

    video: VideoQuality = VideoQuality.best
    audio_only: bool = False
    audio: AudioQuality = AudioQuality.best

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """As `stored` wrote it."""
        return cls(
            VideoQuality(stored["video"]), stored["audio_only"], AudioQuality(stored["audio"])
        )

    def stored(self) -> dict[str, Any]:
        """As it lies in a task's options."""
        return asdict(self)

    def arguments(self) -> tuple[str, ...]:
        """yt-dlp's options."""
        # Sorting by a number prefers the largest one up to it, then the smallest above.
        order = []
        if not self.audio_only and self.video is not VideoQuality.best:
            order.append(f"res:{self.video.removesuffix('p')}")
        if self.audio is not AudioQuality.best:
            order.append(f"abr:{self.audio.value}")
        # b: with picture and sound; ba: sound only; ba*: with sound, whatever else.
        wanted = "ba/b/ba*" if self.audio_only else "b/ba/ba*"
        return ("--format", wanted, *(("--format-sort", ",".join(order)) if order else ()))
