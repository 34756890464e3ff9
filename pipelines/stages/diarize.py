"""Diarize: who spoke when; spans are checkpoints, the recording is clustered as a whole."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.stages.base import Context, Recording, each_part, fingerprint, patiently
from serving.audio import spans
from serving.ports import Embeddings
from serving.speech import SAMPLE_RATE, Diarization, SpanSegmentation

Voices = tuple[SpanSegmentation, Embeddings]


def encode(voices: Voices) -> bytes:
    """A span's activity and embeddings as compressed arrays."""
    segmentation, embeddings = voices
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        activity=segmentation.activity,
        embeddings=embeddings,
        seconds=np.array(
            [
                segmentation.chunk_seconds,
                segmentation.step_seconds,
                segmentation.frame_seconds,
                segmentation.frame_step_seconds,
            ]
        ),
    )
    return buffer.getvalue()


def decode(data: bytes) -> Voices:
    """What `encode` stored."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        chunk, step, frame, frame_step = (float(value) for value in arrays["seconds"])
        segmentation = SpanSegmentation(arrays["activity"], chunk, step, frame, frame_step)
        return segmentation, arrays["embeddings"]


class Diarize:
    """Audio to speaker turns."""

    name = "diarize"

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """Turns of the whole recording; nothing where nobody speaks."""
        if not recording.windows:
            return {"diarization": Diarization((), ())}
        samples = round(recording.duration * SAMPLE_RATE)

        async def work(span: tuple[int, int]) -> Voices:
            start, end = span
            audio = await context.audio.read(start / SAMPLE_RATE, end / SAMPLE_RATE)
            [segmentation] = await context.ports.segmenter.segment([audio])
            [embeddings] = await context.ports.embedder.embed([(audio, segmentation)])
            return segmentation, embeddings

        models = context.models
        key = fingerprint(recording.sha256, models.diarization, models.embedding, samples)
        voices = await each_part(
            context,
            self.name,
            key,
            [(span, (span[1] - span[0]) / SAMPLE_RATE) for span in spans(samples)],
            work,
            encode,
            decode,
        )
        diarization = await patiently(
            context,
            lambda: context.ports.clusterer.cluster(
                [segmentation for segmentation, _ in voices],
                [embeddings for _, embeddings in voices],
                recording.options.speakers,
            ),
        )
        return {"diarization": diarization}
