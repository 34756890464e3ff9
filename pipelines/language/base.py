"""A transcript as language models read it, and what work on it may use."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from pipelines.stages.base import Checkpoints
from serving.ports import LanguageModel


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one speaker says in one go: a segment of the transcript."""

    speaker: str
    """The name that readers see; the label (`SPEAKER_00`) where nobody gave one."""
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A transcript in order."""

    title: str
    duration: float
    """Seconds of the recording."""
    language: str | None
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What a piece of work with a language model may use."""

    model: LanguageModel
    slot: Callable[[], AbstractAsyncContextManager[None]]
    """A place for one call: the runner's limits, and fairness among users."""
    checkpoints: Checkpoints
    """Answers of calls that are done: nothing is asked twice after a crash."""
    progress: Callable[[str, float, float], None]
    """stage, done, total; the stages are those of the work's `SHARE`."""
