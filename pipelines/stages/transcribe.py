"""Transcribe: windows to text, each window a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pydantic import TypeAdapter

from pipelines.stages.base import Context, Recording, each_part, fingerprint, patiently
from serving.errors import SpeechError
from serving.speech import Doubt, LanguageGuess, Window, WindowRequest, WindowText

log = structlog.get_logger(__name__)

STORED = TypeAdapter(WindowText)
STORED_LANGUAGE = TypeAdapter(LanguageGuess)

LANGUAGE_WINDOWS = 4
"""Windows that are asked for the language: one jingle must not decide for an hour."""


class Transcribe:
    """Windows to text."""

    name = "transcribe"

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """The language and the text of every window."""
        if not recording.windows:
            return {}
        language = await self._language(recording, context)
        timing = await patiently(context, lambda: context.ports.aligner.timing(language.language))
        options = recording.options
        # An aligner needs text in the language that is spoken.
        aligned = timing is not None and options.task == "transcribe"

        async def work(window: Window) -> WindowText:
            request = WindowRequest(
                audio=await context.audio.read(window.start, window.end),
                language=language.language,
                task=options.task,
                word_times=not aligned,
                speech_seconds=window.speech_seconds,
                lane=context.lane,
            )
            [result] = await context.ports.transcriber.transcribe([request])
            if isinstance(result, SpeechError):
                raise result
            return result

        key = fingerprint(
            recording.sha256,
            context.models.whisper,
            context.models.beam_size,
            language.language,
            options.task,
            aligned,
            recording.windows,
        )
        texts = await each_part(
            context,
            self.name,
            key,
            [(window, window.end - window.start) for window in recording.windows],
            work,
            STORED.dump_json,
            STORED.validate_json,
            unreadable,
        )
        return {"language": language, "texts": tuple(texts), "notes": notes_on(texts)}

    async def _language(self, recording: Recording, context: Context) -> LanguageGuess:
        if recording.options.language != "auto":
            return LanguageGuess(recording.options.language, 1.0)
        key = fingerprint(recording.sha256, context.models.whisper, recording.windows)
        stored = await context.checkpoints.load("language", key)
        if 0 in stored:
            return STORED_LANGUAGE.validate_json(stored[0])
        windows = sample(recording.windows)
        async with context.slot(self.name):
            audio = [await context.audio.read(window.start, window.end) for window in windows]
            guesses = await patiently(
                context, lambda: context.ports.transcriber.detect_language(audio, context.lane)
            )
        language = vote(windows, guesses)
        await context.checkpoints.save("language", key, 0, STORED_LANGUAGE.dump_json(language))
        return language


def unreadable(_window: Window, error: SpeechError) -> WindowText:
    """What stands for a window on which the model failed for good: nothing, and a mark."""
    log.warning("window given up", error=error.message)
    return WindowText("", 0.0, 0.0, 0.0, 0.0, Doubt.unreadable)


def notes_on(texts: Sequence[WindowText]) -> tuple[str, ...]:
    """What a reader should know of the windows."""
    lost = sum(text.doubt is Doubt.unreadable for text in texts)
    if not lost:
        return ()
    return (f"{lost} of {len(texts)} parts of the recording could not be transcribed.",)


def sample(windows: Sequence[Window]) -> list[Window]:
    """Up to LANGUAGE_WINDOWS windows: the one with most speech of each stretch of the recording."""
    count = min(LANGUAGE_WINDOWS, len(windows))
    stretches = [
        windows[len(windows) * i // count : len(windows) * (i + 1) // count] for i in range(count)
    ]
    return [max(stretch, key=lambda window: window.speech_seconds) for stretch in stretches]


def vote(windows: Sequence[Window], guesses: Sequence[LanguageGuess]) -> LanguageGuess:
    """The language of a file: probabilities of its windows, weighted by their speech."""
    weights = [max(window.speech_seconds, 0.1) for window in windows]
    total = sum(weights)
    combined: dict[str, float] = {}
    for weight, guess in zip(weights, guesses, strict=True):
        for language, probability in (
            guess.probabilities or {guess.language: guess.probability}
        ).items():
            combined[language] = combined.get(language, 0.0) + weight * probability / total
    best = max(combined, key=lambda language: (combined[language], language))
    return LanguageGuess(best, combined[best], combined)
