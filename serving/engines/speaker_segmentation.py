"""Local speaker activity: pyannote's powerset segmentation, batched over spans."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.audio import STEP_SECONDS
from serving.engines import pyannote_model
from serving.errors import ModelUnavailable
from serving.speech import SAMPLE_RATE, Pcm, SpanSegmentation

PCM_SCALE = 32768.0
"""int16 to the floats in -1..1 that models take."""

Chunk = npt.NDArray[np.float32]
"""One chunk of audio, shape (samples,), zero-padded where the recording ended."""


@dataclass(frozen=True, slots=True)
class SpeakerSegmentationOptions:
    """Which model (a folder of `pyannote_model` files), and how it runs."""

    model: Path
    device: str = "cpu"
    threads: int = 2
    batch_size: int = 8
    """Chunks per forward pass; on CPUs more than 16 cost time, on GPUs 32 are better."""
    step_seconds: float = STEP_SECONDS
    """From one chunk's start to the next one's; pyannote's pipelines use a tenth of a chunk."""


class SpeakerSegmentationEngine:
    """Who of at most three local speakers is active, frame by frame, in chunks of each span.

    Equals `pyannote.audio.Inference(model, skip_aggregation=True)` on the same chunks.
    """

    def __init__(self, options: SpeakerSegmentationOptions) -> None:
        self.options = options
        self._inference: Any = None
        self._frames: Any = None

    def load(self) -> None:
        """Read the model.

        Raises:
            ModelUnavailable: the folder holds no segmentation model with powerset output.
        """
        options = self.options
        # A thread per batch: an LSTM whose steps are shared among threads waits for each of them,
        # which on a busy machine takes ten times as long (docs/benchmarks.md).
        model = pyannote_model.load(options.model, options.device, threads=1)
        if not model.specifications.powerset:
            raise ModelUnavailable(f"{options.model} is not a powerset segmentation model")
        from pyannote.audio import Inference

        self._inference = Inference(
            model,
            step=options.step_seconds,
            skip_aggregation=True,
            batch_size=options.batch_size,
        )
        self._frames = model.receptive_field
        pyannote_model.reproducible(self._inference.device)

    def segment(self, spans: Sequence[Pcm]) -> list[SpanSegmentation]:
        """Segment the audio of spans, each cut on the chunk grid (serving.audio.spans).

        Raises:
            OutOfMemory: not even one chunk fits.
        """
        counts = [len(self._starts(span)) for span in spans]
        chunks = (chunk for span in spans for chunk in self._chunks(span))
        with ThreadPoolExecutor(self._workers) as pool:
            outputs = iter(list(self._outputs(pool, chunks)))
        return [self._span(np.stack(list(islice(outputs, count)))) for count in counts]

    @property
    def _workers(self) -> int:
        return self.options.threads if self._inference.device.type == "cpu" else 1

    def _outputs(
        self, pool: ThreadPoolExecutor, chunks: Iterator[Chunk]
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Infer chunk by chunk, holding no more audio than the workers are busy with."""
        size = self.options.batch_size
        while block := list(islice(chunks, size * self._workers)):
            batches = [block[first : first + size] for first in range(0, len(block), size)]
            infer = partial(pyannote_model.in_halves, self._infer)
            for batch, outputs in zip(
                batches, pool.map(infer, map(self._fill, batches)), strict=True
            ):
                yield from outputs[: len(batch)]

    def _fill(self, batch: list[Chunk]) -> list[Chunk]:
        """Fill the last batch with silence: cuDNN plans, and keeps memory for, each batch size."""
        if self._inference.device.type != "cuda":
            return batch
        return batch + [np.zeros_like(batch[0])] * (self.options.batch_size - len(batch))

    def _starts(self, span: Pcm) -> range:
        """First sample of each chunk; the last chunk may reach beyond the span's end."""
        step = round(self._inference.step * SAMPLE_RATE)
        beyond = max(0, len(span) - self._length)
        return range(0, beyond + step if beyond % step else beyond + 1, step)

    @property
    def _length(self) -> int:
        return int(self._inference.duration * SAMPLE_RATE)

    def _chunks(self, span: Pcm) -> Iterator[Chunk]:
        for start in self._starts(span):
            samples = span[start : start + self._length].astype(np.float32) / np.float32(PCM_SCALE)
            yield np.pad(samples, (0, self._length - len(samples)))

    def _infer(self, batch: Sequence[Chunk]) -> list[npt.NDArray[np.uint8]]:
        """Run one batch; (frames, local speakers) of each chunk."""
        import torch

        stacked = torch.from_numpy(np.stack(batch)).unsqueeze(1)
        return list(self._inference.infer(stacked).astype(np.uint8))

    def _span(self, activity: npt.NDArray[np.uint8]) -> SpanSegmentation:
        return SpanSegmentation(
            activity,
            chunk_seconds=float(self._inference.duration),
            step_seconds=float(self._inference.step),
            frame_seconds=float(self._frames.duration),
            frame_step_seconds=float(self._frames.step),
        )
