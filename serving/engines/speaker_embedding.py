"""Speaker embeddings: one vector per chunk and local speaker, batched over spans and files."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from serving.engines import pyannote_model
from serving.errors import ModelUnavailable
from serving.ports import Embeddings
from serving.speech import SAMPLE_RATE, Pcm, SpanSegmentation

PCM_SCALE = 32768.0
"""int16 to the floats in -1..1 that models take."""

BLOCK_CHUNKS = 64
"""Chunks that are held at once, as floats (41 MB), while threads embed them."""

Masks = npt.NDArray[np.float32]
"""Where each local speaker of a chunk is heard, 0 or 1, shape (local speakers, frames)."""
Vectors = npt.NDArray[np.float32]
"""The embeddings of one chunk's local speakers, shape (local speakers, dimension)."""


class Voices(NamedTuple):
    """One chunk: its audio (float32, shape (samples,)) and its local speakers."""

    samples: npt.NDArray[np.float32]
    masks: Masks


@dataclass(frozen=True, slots=True)
class SpeakerEmbeddingOptions:
    """Which model, and how it runs.

    `model` is an ONNX file in WeSpeaker's form (`feats` to `embs`), which runs on CPUs only, or a
    folder of `pyannote_model` files.
    """

    model: Path
    device: str = "cpu"
    threads: int = 2
    batch_size: int = 32
    """Chunks per forward pass of a pyannote model; an ONNX model takes one voice at a time."""


class SpeakerEmbeddingEngine:
    """What `SpeakerDiarization.get_embeddings(exclude_overlap=True)` does, for many spans.

    A local speaker who is silent, or too short to be embedded, gets NaN: no later step looks at a
    silent one, so that nothing is computed for it.
    """

    def __init__(self, options: SpeakerEmbeddingOptions) -> None:
        self.options = options
        self._network: Any = None

    def load(self) -> None:
        """Read the model.

        Raises:
            ModelUnavailable: its file or folder is missing.
        """
        onnx = self.options.model.suffix == ".onnx"
        self._network = (_OnnxNetwork if onnx else _PyannoteNetwork)(self.options)

    def embed(self, spans: Sequence[tuple[Pcm, SpanSegmentation]]) -> list[Embeddings]:
        """Embed the local speakers of spans; (chunks, local speakers, dimension) of each.

        Raises:
            OutOfMemory: not even one chunk fits.
        """
        results = [self._empty(segmentation) for _, segmentation in spans]
        places = [
            (result, chunk)
            for result, (_, segmentation) in zip(results, spans, strict=True)
            for chunk in np.flatnonzero(segmentation.activity.any(axis=(1, 2)))
        ]
        voices = (voice for audio, span in spans for voice in self._voices(audio, span))
        for (result, chunk), vectors in zip(places, self._network.embed(voices), strict=True):
            result[chunk] = vectors
        return results

    def _empty(self, segmentation: SpanSegmentation) -> Embeddings:
        chunks, _, speakers = segmentation.activity.shape
        return np.full((chunks, speakers, self._network.dimension), np.nan, dtype=np.float32)

    def _voices(self, audio: Pcm, segmentation: SpanSegmentation) -> Iterator[Voices]:
        """Yield the chunks of a span in which anybody speaks."""
        length = round(segmentation.chunk_seconds * SAMPLE_RATE)
        step = round(segmentation.step_seconds * SAMPLE_RATE)
        least = self._network.min_num_samples / length
        for chunk, activity in enumerate(segmentation.activity):
            if activity.any():
                samples = audio[chunk * step : chunk * step + length].astype(np.float32)
                padded = np.pad(samples / np.float32(PCM_SCALE), (0, length - len(samples)))
                yield Voices(padded, choose_masks(activity, least))


def choose_masks(activity: npt.NDArray[np.uint8], least: float) -> Masks:
    """Choose the frames that each local speaker is embedded from: alone, else all of their own.

    Args:
        activity: 0 or 1, shape (frames, local speakers).
        least: the share of a chunk that a model needs; with no more than that alone, a speaker's
            overlapped speech is used too (pyannote.audio 4.0.7, get_embeddings).
    """
    alone = activity * (activity.sum(axis=1, keepdims=True) < 2)
    enough = alone.sum(axis=0) > ceil(len(activity) * least)
    return np.where(enough, alone, activity).T.astype(np.float32)


class _OnnxNetwork:
    """pyannote's own ONNX class; its filter bank once per chunk, its session from threads.

    Each voice's features are centred by their own mean, as in the model's training, where pyannote
    takes the chunk's: then whoever else speaks, and the silence that fills up a short recording,
    is in every vector (docs/benchmarks.md: strangers in recordings of 3 s had a cosine of 0.57).
    """

    def __init__(self, options: SpeakerEmbeddingOptions) -> None:
        if not options.model.is_file():
            raise ModelUnavailable(f"{options.model} is missing: run `make models`")
        pyannote_model.quiet()
        import torch
        from pyannote.audio.pipelines.speaker_verification import (
            ONNXWeSpeakerPretrainedSpeakerEmbedding as Network,
        )

        torch.set_num_threads(options.threads)
        self._network = Network(str(options.model), device=torch.device("cpu"))
        self._threads = options.threads
        self.dimension = int(self._network.dimension)
        self.min_num_samples = int(self._network.min_num_samples)
        self._min_num_frames = int(self._network.min_num_frames)

    def embed(self, voices: Iterator[Voices]) -> Iterator[Vectors]:
        """Embed chunk by chunk, `threads` at a time: a session may be run from many threads."""
        with ThreadPoolExecutor(self._threads) as pool:
            while block := list(islice(voices, BLOCK_CHUNKS)):
                yield from pool.map(self._embed, block)

    def _embed(self, voice: Voices) -> Vectors:
        import torch

        features = self._network.compute_fbank(torch.from_numpy(voice.samples)[None, None])[0]
        size = len(features)
        masks = torch.from_numpy(voice.masks)[None]
        heard = torch.nn.functional.interpolate(masks, size=size, mode="nearest")[0] > 0.5
        return np.stack([self._run(features[mask].numpy()) for mask in heard])

    def _run(self, features: npt.NDArray[np.float32]) -> Vectors:
        if len(features) < self._min_num_frames:
            return np.full(self.dimension, np.nan, dtype=np.float32)
        centred = features - features.mean(axis=0)
        embedding: Vectors = self._network.session_.run(["embs"], {"feats": centred[None]})[0][0]
        return embedding


class _PyannoteNetwork:
    """A pyannote embedding model: the network once per chunk, its pooling once per speaker."""

    def __init__(self, options: SpeakerEmbeddingOptions) -> None:
        model = pyannote_model.load(options.model, options.device, options.threads)
        from pyannote.audio.pipelines.speaker_verification import (
            PyannoteAudioPretrainedSpeakerEmbedding as Network,
        )

        self._network = Network(model, device=model.device)
        self._batch_size = options.batch_size
        self.dimension = int(self._network.dimension)
        with warnings.catch_warnings():
            # Found by trying ever shorter audio, of which the shortest has no deviation.
            warnings.simplefilter("ignore", UserWarning)
            self.min_num_samples = int(self._network.min_num_samples)
        pyannote_model.reproducible(self._network.device)

    def embed(self, voices: Iterator[Voices]) -> Iterator[Vectors]:
        """Embed batch by batch."""
        while batch := list(islice(voices, self._batch_size)):
            yield from pyannote_model.in_halves(self._embed, self._fill(batch))[: len(batch)]

    def _fill(self, batch: list[Voices]) -> list[Voices]:
        """Fill the last batch with silence: cuDNN plans, and keeps memory for, each batch size."""
        if self._network.device.type != "cuda":
            return batch
        silence = Voices(np.zeros_like(batch[0].samples), np.zeros_like(batch[0].masks))
        return batch + [silence] * (self._batch_size - len(batch))

    def _embed(self, batch: Sequence[Voices]) -> list[Vectors]:
        import torch

        masks = np.stack([voice.masks for voice in batch])
        waveforms = torch.from_numpy(np.stack([voice.samples for voice in batch])).unsqueeze(1)
        vectors = self._network(waveforms, masks=torch.from_numpy(masks)).astype(np.float32)
        vectors[~masks.any(axis=2)] = np.nan
        return list(vectors)
