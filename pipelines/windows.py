"""Windows: speech regions merged, in order, into pieces of at most 30 s, cut at long pauses."""

from collections.abc import Iterator, Sequence

from serving.speech import WINDOW_SECONDS, SpeechRegion, Window

FILLED = 2 / 3
"""How much of a window must be used before a pause may end it early."""


def cut_windows(
    regions: Sequence[SpeechRegion], max_seconds: float = WINDOW_SECONDS
) -> tuple[Window, ...]:
    """Merge consecutive regions while the window, silences included, stays within `max_seconds`.

    Full windows are the cheap ones: Whisper's encoder pays for 30 s whatever it is given, on a CPU
    for 20. A region is never divided, so no window ends inside a word that voice activity detection
    heard.
    From Bain et al., "WhisperX: Time-Accurate Speech Transcription of Long-Form Audio" (2023), but
    for the place of the cut: theirs is where the next region does not fit, which is often in
    mid-sentence; ours is the longest pause of the window's last third.

    Raises:
        ValueError: a region is longer than `max_seconds`, or they are not in order and disjoint.
    """
    _check(regions, max_seconds)
    return tuple(
        Window(index, group[0].start, group[-1].end, tuple(group))
        for index, group in enumerate(_groups(regions, max_seconds))
    )


def _groups(regions: Sequence[SpeechRegion], max_seconds: float) -> Iterator[list[SpeechRegion]]:
    """Split the regions: where the next one does not fit, at the longest pause so far."""
    group: list[SpeechRegion] = []
    for region in regions:
        while group and region.end - group[0].start > max_seconds:
            cut = _cut([*group, region], max_seconds)
            yield group[:cut]
            group = group[cut:]
        group.append(region)
    if group:
        yield group


def _cut(regions: Sequence[SpeechRegion], max_seconds: float) -> int:
    """How many of the regions, not the last, make a window: the pause after them is the longest.

    Of equal pauses the latest; a window of less than FILLED is only made where nothing else fits.
    """
    filled = regions[0].start + FILLED * max_seconds
    last = len(regions) - 1
    places = [i for i in range(1, last) if regions[i - 1].end >= filled]
    return max([*places, last], key=lambda i: (regions[i].start - regions[i - 1].end, i))


def _check(regions: Sequence[SpeechRegion], max_seconds: float) -> None:
    """Refuse regions that no sequence of windows can hold."""
    end = 0.0
    for region in regions:
        if not end <= region.start < region.end:
            raise ValueError(f"{region} is empty, or not after the region before it ({end} s)")
        if region.end - region.start > max_seconds:
            raise ValueError(f"{region} is longer than a window of {max_seconds} s")
        end = region.end
