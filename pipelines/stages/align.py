"""Align: the text of each window to word times."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from pydantic import TypeAdapter

from pipelines.stages.base import Context, Recording, each_part, fingerprint, patiently
from serving.errors import SpeechError
from serving.speech import AlignmentRequest, Window, WindowText, Word, WordTiming

log = structlog.get_logger(__name__)

STORED = TypeAdapter(tuple[Word, ...])


class Align:
    """Text to word times."""

    name = "align"

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """Words of every window, timed from the start of the recording."""
        if not recording.texts or recording.language is None:
            return {}
        language = recording.language.language
        timing = await patiently(context, lambda: context.ports.aligner.timing(language))
        pairs = list(zip(recording.windows, recording.texts, strict=True))
        if timing is None or recording.options.task != "transcribe":
            words = [shifted(text.words or (), window.start) for window, text in pairs]
            return {"words": tuple(words), "word_timing": WordTiming.whisper}

        async def work(pair: tuple[Window, WindowText]) -> tuple[Word, ...]:
            window, text = pair
            if not text.text.strip():
                return ()
            audio = await context.audio.read(window.start, window.end)
            [result] = await context.ports.aligner.align(
                [AlignmentRequest(audio, text.text, language, context.lane)]
            )
            if isinstance(result, SpeechError):
                raise result
            return shifted(result, window.start)

        key = fingerprint(
            recording.sha256,
            context.models.alignment,
            language,
            recording.windows,
            [text.text for text in recording.texts],
        )
        words = await each_part(
            context,
            self.name,
            key,
            [(pair, pair[0].end - pair[0].start) for pair in pairs],
            work,
            STORED.dump_json,
            STORED.validate_json,
            spread,
        )
        return {"words": tuple(words), "word_timing": timing}


def spread(pair: tuple[Window, WindowText], error: SpeechError) -> tuple[Word, ...]:
    """Words at equal distances, probability 0: what stands where the aligner failed for good."""
    log.warning("window not aligned", error=error.message)
    window, text = pair
    words = text.text.split()
    step = (window.end - window.start) / max(1, len(words))
    return tuple(
        Word(window.start + i * step, window.start + (i + 1) * step, word, 0.0)
        for i, word in enumerate(words)
    )


def shifted(words: tuple[Word, ...], seconds: float) -> tuple[Word, ...]:
    """The same words, later."""
    return tuple(
        replace(word, start=word.start + seconds, end=word.end + seconds) for word in words
    )
