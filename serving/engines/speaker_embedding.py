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
"""Chunks that are held at once while threads embed them."""

HOP_SAMPLES = 160
"""From one frame of the filter bank to the next: 10 ms."""
FRAME_SAMPLES = 400
"""What a frame of the filter bank is made of: 25 ms."""
MEL_BINS = 80
PIECE_FRAMES = 1000
"""Frames that are computed at once: more would need hundreds of megabytes for a span."""

Samples = npt.NDArray[np.float32]
"""Audio in -1..1, shape (samples,)."""
Sound = npt.NDArray[np.float32]
"""What a network hears: samples, or filter bank features of shape (frames, bins)."""
Masks = npt.NDArray[np.float32]
"""Where each local speaker of a chunk is heard, 0 or 1, shape (local speakers, frames)."""
Vectors = npt.NDArray[np.float32]
"""The embeddings of one chunk's local speakers, shape (local speakers, dimension)."""


class Voices(NamedTuple):
    """One chunk: its sound and its local speakers."""

    sound: Sound
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
        if not segmentation.activity.any():
            return
        length = round(segmentation.chunk_seconds * SAMPLE_RATE)
        step = round(segmentation.step_seconds * SAMPLE_RATE)
        least = self._network.min_num_samples / length
        samples = audio.astype(np.float32) / np.float32(PCM_SCALE)
        missing = (len(segmentation.activity) - 1) * step + length - len(samples)
        # Of the span as a whole: neighbouring chunks share most of their sound.
        sound = self._network.hear(np.pad(samples, (0, max(0, missing))))
        for chunk, activity in enumerate(segmentation.activity):
            if activity.any():
                part = self._network.part(sound, chunk * step, length)
                yield Voices(part, choose_masks(activity, least))


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
    """pyannote's own ONNX class; its filter bank once per span, its session from threads.

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

    def hear(self, samples: Samples) -> Sound:
        """Compute the filter bank features of a span, each frame once, as pyannote does.

        pyannote's own function also takes the mean of all frames away, which is nobody's.
        """
        import torch
        from torchaudio.compliance import kaldi

        count = 1 + max(0, len(samples) - FRAME_SAMPLES) // HOP_SAMPLES
        pieces = [
            kaldi.fbank(
                torch.from_numpy(piece * np.float32(PCM_SCALE))[None],
                num_mel_bins=MEL_BINS,
                frame_length=1000 * FRAME_SAMPLES / SAMPLE_RATE,
                frame_shift=1000 * HOP_SAMPLES / SAMPLE_RATE,
                dither=0.0,
                sample_frequency=SAMPLE_RATE,
                window_type="hamming",
                use_energy=False,
            ).numpy()
            for piece in _pieces(samples, count)
        ]
        return np.concatenate(pieces)

    def part(self, sound: Sound, start: int, length: int) -> Sound:
        """Cut a chunk's frames out of a span's.

        Raises:
            ValueError: the chunk does not begin with a frame.
        """
        if start % HOP_SAMPLES:
            raise ValueError(f"a chunk that begins at sample {start} is not on the grid of 10 ms")
        first = start // HOP_SAMPLES
        return sound[first : first + 1 + (length - FRAME_SAMPLES) // HOP_SAMPLES]

    def embed(self, voices: Iterator[Voices]) -> Iterator[Vectors]:
        """Embed chunk by chunk, `threads` at a time: a session may be run from many threads."""
        with ThreadPoolExecutor(self._threads) as pool:
            while block := list(islice(voices, BLOCK_CHUNKS)):
                yield from pool.map(self._embed, block)

    def _embed(self, voice: Voices) -> Vectors:
        import torch

        features = voice.sound
        masks = torch.from_numpy(voice.masks)[None]
        heard = torch.nn.functional.interpolate(masks, size=len(features), mode="nearest")[0] > 0.5
        return np.stack([self._run(features[mask]) for mask in heard.numpy()])

    def _run(self, features: npt.NDArray[np.float32]) -> Vectors:
        if len(features) < self._min_num_frames:
            return np.full(self.dimension, np.nan, dtype=np.float32)
        centred = features - features.mean(axis=0)
        embedding: Vectors = self._network.session_.run(["embs"], {"feats": centred[None]})[0][0]
        return embedding


def _pieces(samples: Samples, frames: int) -> Iterator[Samples]:
    """Samples of at most PIECE_FRAMES frames each; neighbours share what reaches over the edge."""
    for first in range(0, frames, PIECE_FRAMES):
        last = min(frames, first + PIECE_FRAMES) - 1
        yield samples[first * HOP_SAMPLES : last * HOP_SAMPLES + FRAME_SAMPLES]


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

    def hear(self, samples: Samples) -> Sound:
        """Take the samples as they are: the network has its own filter bank."""
        return samples

    def part(self, sound: Sound, start: int, length: int) -> Sound:
        """Cut a chunk out of a span."""
        return sound[start : start + length]

    def embed(self, voices: Iterator[Voices]) -> Iterator[Vectors]:
        """Embed batch by batch."""
        while batch := list(islice(voices, self._batch_size)):
            yield from pyannote_model.in_halves(self._embed, self._fill(batch))[: len(batch)]

    def _fill(self, batch: list[Voices]) -> list[Voices]:
        """Fill the last batch with silence: cuDNN plans, and keeps memory for, each batch size."""
        if self._network.device.type != "cuda":
            return batch
        silence = Voices(np.zeros_like(batch[0].sound), np.zeros_like(batch[0].masks))
        return batch + [silence] * (self._batch_size - len(batch))

    def _embed(self, batch: Sequence[Voices]) -> list[Vectors]:
        import torch

        masks = np.stack([voice.masks for voice in batch])
        waveforms = torch.from_numpy(np.stack([voice.sound for voice in batch])).unsqueeze(1)
        vectors = self._network(waveforms, masks=torch.from_numpy(masks)).astype(np.float32)
        vectors[~masks.any(axis=2)] = np.nan
        return list(vectors)
