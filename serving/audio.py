"""Cutting a recording into spans on the chunk grid of speaker segmentation."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from serving.speech import SAMPLE_RATE

CHUNK_SECONDS = 10
"""What pyannote's segmentation models look at, at once."""
STEP_SECONDS = 1.0
"""From one chunk's start to the next one's, in pyannote's own pipelines."""
SPAN_SECONDS = 300
"""A span's chunks begin within so long."""
SKIPPED_SECONDS = 10.0
"""Chunks without speech are left out where they are at least so long in a row: fewer are cheaper to
hear than another span."""


class Interval(Protocol):
    """A stretch of a recording: a region of speech, a window."""

    @property
    def start(self) -> float:
        """Seconds."""
        ...

    @property
    def end(self) -> float:
        """Seconds."""
        ...


class ChunkRun(NamedTuple):
    """Consecutive chunks of a recording's grid."""

    first: int
    chunks: int

    def samples(self, total_samples: int, step_seconds: float) -> tuple[int, int]:
        """The samples that they cover; the recording's last chunk may reach beyond its end."""
        step = round(step_seconds * SAMPLE_RATE)
        start = self.first * step
        end = start + (self.chunks - 1) * step + CHUNK_SECONDS * SAMPLE_RATE
        return start, min(total_samples, end)


def chunk_count(
    total_samples: int, chunk_seconds: float = CHUNK_SECONDS, step_seconds: float = STEP_SECONDS
) -> int:
    """Count the chunks that cover a recording; the last one may reach beyond its end."""
    if total_samples <= 0:
        return 0
    beyond = max(0, total_samples - round(chunk_seconds * SAMPLE_RATE))
    return 1 + -(-beyond // round(step_seconds * SAMPLE_RATE))


def spans(
    total_samples: int,
    step_seconds: float = STEP_SECONDS,
    chunks_per_span: int | None = None,
) -> tuple[tuple[int, int], ...]:
    """Cut a recording into spans, as sample ranges [start, end).

    Span k covers chunks [kN, (k+1)N) of the whole recording's grid, so the chunks of all spans in
    order are the recording's chunks. Neighbours share audio (a chunk less a step); the last span
    ends with the recording. No samples: no spans.
    """
    most = chunks_per_span or int(SPAN_SECONDS / step_seconds)
    chunks = chunk_count(total_samples, step_seconds=step_seconds)
    return tuple(
        ChunkRun(first, min(most, chunks - first)).samples(total_samples, step_seconds)
        for first in range(0, chunks, most)
    )


def heard_runs(
    total_samples: int, speech: Sequence[Interval], step_seconds: float = STEP_SECONDS
) -> tuple[ChunkRun, ...]:
    """The chunks in which there is speech, in runs that are about as long as each other.

    Args:
        total_samples: of the recording.
        speech: where voice activity detection hears any, in order and disjoint.
        step_seconds: from one chunk to the next.
    """
    chunks = chunk_count(total_samples, step_seconds=step_seconds)
    most = int(SPAN_SECONDS / step_seconds)
    return tuple(
        run
        for first, end in _stretches(chunks, speech, step_seconds)
        for run in _divided(first, end, most)
    )


def _stretches(
    chunks: int, speech: Sequence[Interval], step_seconds: float
) -> Iterator[tuple[int, int]]:
    """Chunks [first, end) that hear speech, with the short gaps between them."""
    first, end = 0, 0
    for interval in speech:
        # The chunks that begin before its end, and end after its start.
        begins = max(0, math.floor((interval.start - CHUNK_SECONDS) / step_seconds) + 1)
        ends = min(chunks, math.ceil(interval.end / step_seconds))
        if end and (begins - end) * step_seconds >= SKIPPED_SECONDS:
            yield first, end
            first = begins
        elif not end:
            first = begins
        end = max(end, ends)
    if end > first:
        yield first, end


def _divided(first: int, end: int, most: int) -> Iterator[ChunkRun]:
    """As few runs as there can be, of about the same length."""
    parts = -(-(end - first) // most)
    edges = [first + (end - first) * part // parts for part in range(parts + 1)]
    for start, stop in pairwise(edges):
        yield ChunkRun(start, stop - start)
