"""Diarize: who spoke when; spans are checkpoints, the recording is clustered as a whole.

Chunks in which voice activity detection hears nothing are not heard again: nobody speaks there.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.stages.base import Context, Recording, each_part, fingerprint, patiently
from serving.audio import ChunkRun, chunk_count, heard_runs
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
        models = context.models
        step = models.segmentation_step_seconds
        samples = round(recording.duration * SAMPLE_RATE)
        heard = [part for window in recording.windows for part in window.regions or (window,)]
        runs = heard_runs(samples, heard, step)
        places = [run.samples(samples, step) for run in runs]

        async def work(place: tuple[int, int]) -> Voices:
            start, end = place
            audio = await context.audio.read(start / SAMPLE_RATE, end / SAMPLE_RATE)
            [segmentation] = await context.ports.segmenter.segment([audio], context.lane)
            [embeddings] = await context.ports.embedder.embed([(audio, segmentation)], context.lane)
            return segmentation, embeddings

        key = fingerprint(
            recording.sha256, models.diarization, models.embedding, step, samples, runs
        )
        voices = await each_part(
            context,
            self.name,
            key,
            [(place, (place[1] - place[0]) / SAMPLE_RATE) for place in places],
            work,
            encode,
            decode,
        )
        pieces = list(whole(runs, voices, chunk_count(samples, step_seconds=step)))
        diarization = await patiently(
            context,
            lambda: context.ports.clusterer.cluster(
                [segmentation for segmentation, _ in pieces],
                [embeddings for _, embeddings in pieces],
                recording.options.speakers,
            ),
        )
        return {"diarization": diarization}


def whole(runs: Sequence[ChunkRun], voices: Sequence[Voices], chunks: int) -> Iterator[Voices]:
    """The recording's chunks in order: what was heard, and silence where nothing was to be."""
    end = 0
    for run, heard in zip(runs, voices, strict=True):
        if run.first > end:
            yield _silence(run.first - end, heard)
        yield heard
        end = run.first + run.chunks
    if chunks > end:
        yield _silence(chunks - end, voices[-1])


def _silence(chunks: int, like: Voices) -> Voices:
    segmentation, embeddings = like
    activity = np.zeros((chunks, *segmentation.activity.shape[1:]), dtype=np.uint8)
    vectors = np.full((chunks, *embeddings.shape[1:]), np.nan, dtype=np.float32)
    return replace(segmentation, activity=activity), vectors
