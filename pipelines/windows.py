"""Windows: speech regions merged, in order, into pieces of at most 30 s (WhisperX's rule)."""

from collections.abc import Iterator, Sequence

from serving.speech import WINDOW_SECONDS, SpeechRegion, Window


def cut_windows(
    regions: Sequence[SpeechRegion], max_seconds: float = WINDOW_SECONDS
) -> tuple[Window, ...]:
    """Merge consecutive regions while the window, silences included, stays within `max_seconds`.

    Full windows are the cheap ones: Whisper's encoder pays for 30 s whatever it is given. A
    region is never divided, so no window ends inside a word that voice activity detection heard.
    From Bain et al., "WhisperX: Time-Accurate Speech Transcription of Long-Form Audio" (2023).

    Raises:
        ValueError: a region is longer than `max_seconds`, or they are not in order and disjoint.
    """
    _check(regions, max_seconds)
    return tuple(
        Window(index, group[0].start, group[-1].end, tuple(group))
        for index, group in enumerate(_groups(regions, max_seconds))
    )


def _groups(regions: Sequence[SpeechRegion], max_seconds: float) -> Iterator[list[SpeechRegion]]:
    """Split the regions greedily: a group ends where the next region would make it too long."""
    group: list[SpeechRegion] = []
    for region in regions:
        if group and region.end - group[0].start > max_seconds:
            yield group
            group = []
        group.append(region)
    if group:
        yield group


def _check(regions: Sequence[SpeechRegion], max_seconds: float) -> None:
    """Refuse regions that no sequence of windows can hold."""
    end = 0.0
    for region in regions:
        if not end <= region.start < region.end:
            raise ValueError(f"{region} is empty, or not after the region before it ({end} s)")
        if region.end - region.start > max_seconds:
            raise ValueError(f"{region} is longer than a window of {max_seconds} s")
        end = region.end
