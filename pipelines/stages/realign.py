"""Realign: the words of a transcript as it stands, timed anew; each stretch is a checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from pydantic import TypeAdapter

from pipelines.stages.align import shifted
from pipelines.stages.attribute import joined
from pipelines.stages.base import Context, Recording, each_part, fingerprint, patiently
from serving.errors import LanguageUnsupported, SpeechError
from serving.speech import WINDOW_SECONDS, AlignmentRequest, Segment, Word

log = structlog.get_logger(__name__)

STORED = TypeAdapter(tuple[Word, ...])
MARGIN_SECONDS = 0.3
"""Heard before and after a stretch: where its words began is what was not known well."""

Stretch = tuple[Segment, ...]
"""Consecutive lines that are heard at once."""


class Realign:
    """Words to their times."""

    name = "align"

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """The same segments, with the same words of the same speakers at other times.

        Raises:
            LanguageUnsupported: no aligner knows the language.
        """
        language = recording.language.language if recording.language else ""
        timing = await patiently(context, lambda: context.ports.aligner.timing(language))
        if timing is None:
            raise LanguageUnsupported(f"No aligner here knows the language {language!r}.")
        parts = list(stretches(recording.segments))

        async def work(stretch: Stretch) -> tuple[Word, ...]:
            start = max(0.0, stretch[0].start - MARGIN_SECONDS)
            end = min(recording.duration, _end(stretch) + MARGIN_SECONDS)
            audio = await context.audio.read(start, end)
            request = AlignmentRequest(audio, _text(stretch), language, context.lane)
            [result] = await context.ports.aligner.align([request])
            if isinstance(result, SpeechError):
                raise result
            return shifted(result, start)

        key = fingerprint(
            recording.sha256,
            context.models.alignment,
            language,
            "realign",
            [(part[0].start, _end(part), _text(part)) for part in parts],
        )
        found = await each_part(
            context,
            self.name,
            key,
            [(part, _end(part) - part[0].start) for part in parts],
            work,
            STORED.dump_json,
            STORED.validate_json,
            _as_they_were,
        )
        segments = [
            segment
            for stretch, words in zip(parts, found, strict=True)
            for segment in retimed(stretch, words)
        ]
        return {"segments": tuple(segments), "word_timing": timing}


def stretches(segments: Sequence[Segment]) -> Iterator[Stretch]:
    """Lines with words, as many together as a window holds."""
    stretch: list[Segment] = []
    for segment in segments:
        if stretch and segment.end - stretch[0].start > WINDOW_SECONDS:
            yield tuple(stretch)
            stretch = []
        if segment.words:
            stretch.append(segment)
    if stretch:
        yield tuple(stretch)


def retimed(stretch: Stretch, words: Sequence[Word]) -> list[Segment]:
    """The lines with the times of these words; as they were where those are not the same words."""
    times = iter(words)
    if sum(len(segment.words) for segment in stretch) != len(words):
        return list(stretch)
    found = []
    for segment in stretch:
        moved = tuple(
            replace(word, start=time.start, end=time.end, probability=time.probability)
            for word, time in zip(segment.words, times, strict=False)
        )
        start, end = moved[0].start, max(word.end for word in moved)
        found.append(replace(segment, words=moved, start=start, end=end))
    return found


def _as_they_were(stretch: Stretch, error: SpeechError) -> tuple[Word, ...]:
    """What stands where the aligner failed for good."""
    log.warning("stretch not aligned", error=error.message)
    return tuple(word for segment in stretch for word in segment.words)


def _end(stretch: Stretch) -> float:
    return max(segment.end for segment in stretch)


def _text(stretch: Stretch) -> str:
    return joined([word.word for segment in stretch for word in segment.words])
