"""Cutting a recording into spans on the chunk grid of speaker segmentation."""

from serving.speech import SAMPLE_RATE

CHUNK_SECONDS = 10
"""What pyannote's segmentation models look at, at once."""
STEP_SECONDS = 1
"""From one chunk's start to the next one's."""
CHUNKS_PER_SPAN = 300
"""Chunks of one span: about 5 minutes."""


def chunk_count(
    total_samples: int, chunk_seconds: int = CHUNK_SECONDS, step_seconds: int = STEP_SECONDS
) -> int:
    """Count the chunks that cover a recording; the last one may reach beyond its end."""
    if total_samples <= 0:
        return 0
    beyond = max(0, total_samples - chunk_seconds * SAMPLE_RATE)
    return 1 + -(-beyond // (step_seconds * SAMPLE_RATE))


def spans(
    total_samples: int,
    chunk_seconds: int = CHUNK_SECONDS,
    step_seconds: int = STEP_SECONDS,
    chunks_per_span: int = CHUNKS_PER_SPAN,
) -> tuple[tuple[int, int], ...]:
    """Cut a recording into spans, as sample ranges [start, end).

    Span k covers chunks [kN, (k+1)N) of the whole recording's grid, so the chunks of all spans in
    order are the recording's chunks. Neighbours share audio (a chunk less a step); the last span
    ends with the recording. No samples: no spans.
    """
    chunk, step = chunk_seconds * SAMPLE_RATE, step_seconds * SAMPLE_RATE
    chunks = chunk_count(total_samples, chunk_seconds, step_seconds)
    return tuple(
        (first * step, min(total_samples, (first + chunks_per_span - 1) * step + chunk))
        for first in range(0, chunks, chunks_per_span)
    )
