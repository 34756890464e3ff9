"""hama's acoustic model in numpy: the phonemes that are heard, 20 ms each.

The weights are those of hama's wheel. hama's own engine takes 0.14 CPU seconds for a second of
audio, its sums through BLAS a tenth of that (docs/adr/0031); both hear the same
(tests/models/test_hama_acoustics.py). The model is a Conformer: Gulati et al., "Conformer:
Convolution-augmented Transformer for Speech Recognition" (2020).
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import erf, expit, log_softmax, softmax

from serving.engines.ctc_viterbi import LogProbs
from serving.errors import ModelUnavailable

Floats = npt.NDArray[np.float32]

MAGIC = b"HAMAPK\x01\x02"
ALIGNMENT = 16
"""The file's header is filled up to a multiple of so many bytes; the tensors follow."""
TYPES = (np.dtype("<f4"), np.dtype("<f2"))

HOP_SAMPLES, WINDOW_SAMPLES = 160, 400
QUIETEST = 1e-10
"""What the logarithm of a mel band's power sees at least."""
HEADS = 4
EPSILON = 1e-5
"""What a layer norm adds to a variance."""

MODEL = "acoustic_model.model"
PRODUCTS, CONVOLUTIONS = "onnx::MatMul_", "onnx::Conv_"
"""Tensors that were left without a name when the model was exported: numbered as they are used."""


def read_tensors(path: Path) -> dict[str, Floats]:
    """Every tensor of a `.hama` file by name.

    Raises:
        ModelUnavailable: the file is of another kind.
    """
    packed = path.read_bytes()
    if not packed.startswith(MAGIC):
        raise ModelUnavailable(f"{path.name} is no file of hama's second format")
    (count,), at, entries = struct.unpack_from("<H", packed, len(MAGIC)), len(MAGIC) + 4, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", packed, at)
        name, at = packed[at + 2 : at + 2 + length].decode(), at + 2 + length
        kind, rank = struct.unpack_from("BB", packed, at)
        *shape, offset, _ = struct.unpack_from(f"<{rank}IQQ", packed, at + 2)
        at += 2 + 4 * rank + 16
        entries.append((name, TYPES[kind], shape, offset))
    start = -(-at // ALIGNMENT) * ALIGNMENT
    return {
        name: np.frombuffer(packed, kind, int(np.prod(shape)), start + offset)
        .reshape(shape)
        .astype(np.float32)
        for name, kind, shape, offset in entries
    }


@dataclass(frozen=True, slots=True)
class Linear:
    """A product and what is added to it."""

    weight: Floats
    """Shape (from, to)."""
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """Shape (…, from) to (…, to)."""
        return x @ self.weight + self.bias


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm over the last axis."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """Each frame to mean 0 and variance 1, then scaled."""
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + EPSILON)
        scaled: Floats = centred / deviation * self.weight + self.bias
        return scaled


def silu(x: Floats) -> Floats:
    """Values times their own sigmoid."""
    product: Floats = x * expit(x)
    return product


def gelu(x: Floats) -> Floats:
    """Values times the share of a normal distribution below them."""
    product: Floats = x * (0.5 + 0.5 * erf(x / np.float32(np.sqrt(2))))
    return product


@dataclass(frozen=True, slots=True)
class FeedForward:
    """Wider and back."""

    norm: Norm
    widen: Linear
    narrow: Linear

    def __call__(self, x: Floats) -> Floats:
        """What is to be added."""
        return self.narrow(silu(self.widen(self.norm(x))))


@dataclass(frozen=True, slots=True)
class Attention:
    """Every frame looks at every other."""

    norm: Norm
    project: Linear
    join: Linear

    def __call__(self, x: Floats) -> Floats:
        """What is to be added."""
        frames, size = x.shape
        shape = frames, 3, HEADS, size // HEADS
        queries, keys, values = self.project(self.norm(x)).reshape(shape).transpose(1, 2, 0, 3)
        scores = queries @ keys.transpose(0, 2, 1) / np.float32(np.sqrt(size // HEADS))
        seen = softmax(scores, axis=-1) @ values
        return self.join(seen.transpose(1, 0, 2).reshape(frames, size))


@dataclass(frozen=True, slots=True)
class Convolution:
    """Every channel over its neighbours in time."""

    norm: Norm
    gate: Linear
    kernel: Linear
    """Shape (taps, channels)."""
    join: Linear

    def __call__(self, x: Floats) -> Floats:
        """What is to be added."""
        open_, shut = np.split(self.gate(self.norm(x)), 2, axis=1)
        taps = len(self.kernel.weight)
        around = np.pad(open_ * expit(shut), ((taps // 2, taps // 2), (0, 0)))
        heard = np.broadcast_to(self.kernel.bias, x.shape).copy()
        for tap, weight in enumerate(self.kernel.weight):
            heard += around[tap : tap + len(x)] * weight
        return self.join(silu(heard))


@dataclass(frozen=True, slots=True)
class Block:
    """One of the Conformer's layers."""

    first: FeedForward
    attention: Attention
    convolution: Convolution
    second: FeedForward
    norm: Norm

    def __call__(self, x: Floats) -> Floats:
        """The next layer's input."""
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        return self.norm(x + 0.5 * self.second(x))


class HamaAcoustics:
    """From a waveform to the log probability of every token in every frame."""

    def __init__(self, path: Path) -> None:
        tensors = read_tensors(path)
        self._spectrum = np.concatenate(
            [tensors["stft_real_kernel"][:, 0].T, tensors["stft_imag_kernel"][:, 0].T], axis=1
        )
        self._mel = tensors["mel_fb"]
        parts = _Parts(tensors)
        self._stem = parts.stem()
        self._blocks = [parts.block(f"{MODEL}.blocks.{index}") for index in range(parts.blocks)]
        self._project = parts.pointwise(f"{MODEL}.proj")

    def __call__(self, waveform: Floats) -> LogProbs:
        """Natural logarithms, shape (frames, tokens).

        Args:
            waveform: mono at 16 kHz between -1 and 1, longer than half a window.
        """
        x = gelu(self._stem(_pairs_of_frames(self._bands(waveform))))
        for block in self._blocks:
            x = block(x)
        heard: LogProbs = log_softmax(self._project(x), axis=-1)
        return heard

    def _bands(self, waveform: Floats) -> Floats:
        """Log mel power every 10 ms, shape (frames, bands)."""
        padded = np.pad(waveform, WINDOW_SAMPLES // 2, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
        real, imaginary = np.split(windows @ self._spectrum, 2, axis=1)
        power = np.square(real) + np.square(imaginary)
        bands: Floats = np.log(np.maximum(power @ self._mel, QUIETEST))
        return bands


def _pairs_of_frames(bands: Floats) -> Floats:
    """Every second frame between its neighbours, shape (frames / 2, bands * 3)."""
    around = np.pad(bands, ((1, 1), (0, 0)))
    triples = np.lib.stride_tricks.sliding_window_view(around, 3, axis=0)[::2]
    return triples.reshape(len(triples), -1)


class _Parts:
    """Layers made of tensors."""

    def __init__(self, tensors: Mapping[str, Floats]) -> None:
        self._tensors = tensors
        self._products = self._numbered(PRODUCTS)
        self._convolutions = self._numbered(CONVOLUTIONS)
        self.blocks = sum(name.endswith(".attn_norm.weight") for name in tensors)

    def _numbered(self, prefix: str) -> Callable[[], Floats]:
        names = [name for name in self._tensors if name.startswith(prefix)]
        ordered = iter(sorted(names, key=lambda name: int(name.removeprefix(prefix))))
        return lambda: self._tensors[next(ordered)]

    def stem(self) -> Linear:
        weight = self._convolutions()
        return Linear(weight.reshape(len(weight), -1).T, self._convolutions())

    def norm(self, name: str) -> Norm:
        return Norm(self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def linear(self, bias: str) -> Linear:
        return Linear(self._products(), self._tensors[bias])

    def pointwise(self, name: str) -> Linear:
        return Linear(self._tensors[f"{name}.weight"][:, :, 0].T, self._tensors[f"{name}.bias"])

    def kernel(self) -> Linear:
        weight = self._convolutions()
        return Linear(np.ascontiguousarray(weight[:, 0].T), self._convolutions())

    def feed_forward(self, name: str) -> FeedForward:
        widen, narrow = self.linear(f"{name}.fc1.bias"), self.linear(f"{name}.fc2.bias")
        return FeedForward(self.norm(f"{name}.norm"), widen, narrow)

    def attention(self, name: str) -> Attention:
        project = self.linear(f"{name}.attn.in_proj_bias")
        join = self.linear(f"{name}.attn.out_proj.bias")
        return Attention(self.norm(f"{name}.attn_norm"), project, join)

    def convolution(self, name: str) -> Convolution:
        gate, join = self.pointwise(f"{name}.pointwise1"), self.pointwise(f"{name}.pointwise2")
        return Convolution(self.norm(f"{name}.norm"), gate, self.kernel(), join)

    def block(self, name: str) -> Block:
        # In the order in which the numbered tensors are used.
        return Block(
            self.feed_forward(f"{name}.ffn1"),
            self.attention(name),
            self.convolution(f"{name}.conv"),
            self.feed_forward(f"{name}.ffn2"),
            self.norm(f"{name}.norm"),
        )
