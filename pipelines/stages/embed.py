"""Embed: a voiceprint of each speaker whose turns are known; spans are checkpoints."""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.stages.base import Context, Recording, each_part, fingerprint
from serving.audio import CHUNK_SECONDS, spans
from serving.ports import Embeddings
from serving.speech import SAMPLE_RATE, SpanSegmentation, SpeakerTurn
from serving.voiceprints import clean_seconds, mean_voiceprint

STEP_SECONDS = CHUNK_SECONDS
"""Chunks stand side by side. The diarizer's begin a second apart, so that it hears each second ten
times: that is to find out who speaks, and here it is known. It costs a tenth."""
CHUNKS_PER_SPAN = 30
FRAMES_PER_SECOND = 50
"""How finely turns are drawn: about as finely as the segmentation model that found them."""

Activity = npt.NDArray[np.uint8]
"""0 or 1, shape (chunks, frames, local speakers)."""


@dataclass(slots=True)
class Span:
    """About 5 minutes of audio, and the turns in it; times from the start of the recording."""

    start: float
    end: float
    turns: list[SpeakerTurn] = field(default_factory=list)

    @property
    def speakers(self) -> list[str]:
        """Who speaks here: the local speakers, in order."""
        return sorted({turn.speaker for turn in self.turns})

    def activity(self) -> Activity:
        """The turns, drawn on chunks that stand side by side."""
        chunks = max(1, int(np.ceil((self.end - self.start) / STEP_SECONDS)))
        frames = STEP_SECONDS * FRAMES_PER_SECOND
        drawn = np.zeros((chunks * frames, len(self.speakers)), dtype=np.uint8)
        local = {label: index for index, label in enumerate(self.speakers)}
        for turn in self.turns:
            first, last = (
                round((moment - self.start) * FRAMES_PER_SECOND)
                for moment in (turn.start, turn.end)
            )
            drawn[max(0, first) : max(0, last), local[turn.speaker]] = 1
        return drawn.reshape(chunks, frames, -1)


class Embed:
    """Turns to voiceprints."""

    name = "embed"

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """The same diarization, with the embeddings of the model that is in use."""
        known = recording.diarization
        if known is None:
            raise ValueError("somebody has to say whose turns these are")
        samples = round(recording.duration * SAMPLE_RATE)
        parts = cut(samples, known.turns)

        async def work(span: Span) -> Embeddings:
            audio = await context.audio.read(span.start, span.end)
            [found] = await context.ports.embedder.embed(
                [(audio, _segmentation(span))], context.lane
            )
            return found

        key = fingerprint(recording.sha256, context.models.embedding, samples, known.turns)
        found = await each_part(
            context,
            self.name,
            key,
            [(span, span.end - span.start) for span in parts],
            work,
            encode,
            decode,
        )
        # In a thread: hours of speech have many vectors, and the loop keeps leases.
        embeddings = await asyncio.to_thread(voiceprints, parts, found)
        return {
            "diarization": replace(
                known,
                embeddings=embeddings,
                embedding_model=context.models.embedding,
                clean_seconds=clean_seconds(known.turns),
            )
        }


def cut(samples: int, turns: Sequence[SpeakerTurn]) -> list[Span]:
    """The spans of a recording in which anybody speaks, each with the turns that reach into it."""
    grid = spans(samples, STEP_SECONDS, CHUNKS_PER_SPAN)
    parts = [Span(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in grid]
    length = CHUNKS_PER_SPAN * STEP_SECONDS
    for turn in turns:
        for index in range(int(turn.start // length), int(turn.end // length) + 1):
            if index < len(parts) and turn.start < parts[index].end:
                parts[index].turns.append(turn)
    return [part for part in parts if part.turns]


def _segmentation(span: Span) -> SpanSegmentation:
    frame = 1 / FRAMES_PER_SECOND
    return SpanSegmentation(span.activity(), CHUNK_SECONDS, STEP_SECONDS, frame, frame)


def encode(embeddings: Embeddings) -> bytes:
    """A span's embeddings as an array."""
    buffer = io.BytesIO()
    np.save(buffer, embeddings, allow_pickle=False)
    return buffer.getvalue()


def decode(data: bytes) -> Embeddings:
    """What `encode` stored."""
    found: Embeddings = np.load(io.BytesIO(data), allow_pickle=False)
    return found


def voiceprints(
    parts: Sequence[Span], embeddings: Sequence[Embeddings]
) -> dict[str, tuple[float, ...]]:
    """The mean of each speaker's vectors by how long they speak alone in each, as the diarizer's.

    Nobody who never speaks alone has one.
    """
    vectors: dict[str, list[npt.NDArray[np.float32]]] = {}
    weights: dict[str, list[npt.NDArray[np.int64]]] = {}
    for span, found in zip(parts, embeddings, strict=True):
        activity = span.activity()
        alone = activity * (activity.sum(axis=2, keepdims=True, dtype=np.int64) == 1)
        for local, label in enumerate(span.speakers):
            vectors.setdefault(label, []).append(found[:, local])
            weights.setdefault(label, []).append(alone[:, :, local].sum(axis=1, dtype=np.int64))
    means = {
        label: mean_voiceprint(np.concatenate(rows), np.concatenate(weights[label]))
        for label, rows in vectors.items()
    }
    return {label: mean for label, mean in means.items() if mean is not None}
