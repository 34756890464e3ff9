"""The order of stages: the only place where it is written."""

from collections.abc import Sequence

from pipelines.stages.align import Align
from pipelines.stages.attribute import Attribute
from pipelines.stages.base import Options, Stage
from pipelines.stages.diarize import Diarize
from pipelines.stages.prepare import Prepare
from pipelines.stages.transcribe import Transcribe

Track = Stage | tuple[Stage, ...]
"""A stage, or several that run one after the other."""
Step = tuple[Track, ...]
"""Tracks that run beside each other."""

SHARE = {"prepare": 0.1, "transcribe": 0.4, "diarize": 0.3, "align": 0.15, "attribute": 0.05}
"""Each stage's share of a task's progress, after the CPU profile of docs/benchmarks.md."""

OPTIONAL = frozenset({"diarize"})
"""A stage without which a transcript is still worth having; its failure becomes a note."""


def plan(options: Options) -> Sequence[Step]:
    """The steps of a transcription."""
    # Words are timed while speakers are still being told apart: only attribution needs both.
    words: Track = (Transcribe(), Align())
    listening: Step = (words, Diarize()) if options.diarize else (words,)
    return ((Prepare(),), listening, (Attribute(),))
