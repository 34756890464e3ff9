"""The CAM++ speaker network, for one purpose: to turn its published weights into ONNX once.

Written from Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using
Context-Aware Masking" (Interspeech 2023), and the names and shapes in the 3D-Speaker weights. The
network is a function of its weights: depths are read from the names, so that weights that do not
fit fail by name.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from serving.errors import ModelUnavailable

Tensor = Any
"""torch.Tensor; torch is imported by the functions, not by this module."""

MEL_BINS = 80
CONTEXT_FRAMES = 100
"""Length of the segments whose mean is the local context (paper, section 2.2)."""
DILATIONS = (1, 2, 2)
"""Of the three dense blocks (paper, table 1); the kernels' sizes are in the weights."""
CHECKED_FRAMES = (24, 60, 99, 200, 201, 399, 998)
"""Lengths at which an export must match: around the context segments, and a whole chunk."""
TOLERANCE = 1e-4


def embed(weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Embed filter bank features: (batch, frames, 80) to (batch, dimension), `eval` mode."""
    import torch

    layers = _Layers(weights)
    x = _front(layers, features.transpose(1, 2).unsqueeze(1))
    x = layers.convolve("xvector.tdnn.linear", x, stride=2, padding=2)
    x = layers.activate("xvector.tdnn.nonlinear.batchnorm", x)
    for block, dilation in enumerate(DILATIONS, start=1):
        for name in layers.children(f"xvector.block{block}.tdnnd"):
            x = torch.cat([x, _dense_layer(layers, name, x, dilation)], dim=1)
        x = layers.activate(f"xvector.transit{block}.nonlinear.batchnorm", x)
        x = layers.convolve(f"xvector.transit{block}.linear", x)
    x = layers.activate("xvector.out_nonlinear.batchnorm", x)
    x = torch.cat([x.mean(dim=-1), x.std(dim=-1)], dim=-1).unsqueeze(-1)
    x = layers.convolve("xvector.dense.linear", x).squeeze(-1)
    x = layers.normalise("xvector.dense.nonlinear.batchnorm", x)
    layers.require_all_used()
    return x


def _front(layers: "_Layers", x: Tensor) -> Tensor:
    """Run the 2-D convolutions; (batch, 1, mel, frames) to (batch, channels, frames)."""
    x = layers.activate("head.bn1", layers.convolve("head.conv1", x, padding=1))
    for stage in ("head.layer1.", "head.layer2."):
        for depth, name in enumerate(layers.children(stage)):
            x = _residual(layers, name, x, stride=(2, 1) if depth == 0 else (1, 1))
    x = layers.activate("head.bn2", layers.convolve("head.conv2", x, (2, 1), padding=1))
    return x.flatten(1, 2)


def _residual(layers: "_Layers", name: str, x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Run two convolutions and their shortcut; `stride` halves the mel axis, never time."""
    y = layers.activate(f"{name}.bn1", layers.convolve(f"{name}.conv1", x, stride, padding=1))
    y = layers.normalise(f"{name}.bn2", layers.convolve(f"{name}.conv2", y, padding=1))
    if layers.has(f"{name}.shortcut.0"):
        x = layers.convolve(f"{name}.shortcut.0", x, stride)
        x = layers.normalise(f"{name}.shortcut.1", x)
    return (x + y).relu()


def _dense_layer(layers: "_Layers", name: str, x: Tensor, dilation: int) -> Tensor:
    """Run one densely connected layer with its context-aware mask (paper, equations 1 to 4)."""
    x = layers.convolve(f"{name}.linear1", layers.activate(f"{name}.nonlinear1.batchnorm", x))
    x = layers.activate(f"{name}.nonlinear2.batchnorm", x)
    # The mask is the same in all frames of a segment: computed per segment, then spread.
    mask = layers.convolve(f"{name}.cam_layer.linear1", _context(x)).relu()
    mask = layers.convolve(f"{name}.cam_layer.linear2", mask).sigmoid()
    local = f"{name}.cam_layer.linear_local"
    y = layers.convolve(local, x, padding=dilation, dilation=dilation)
    return y * _spread(mask, y.shape[-1])


def _context(x: Tensor) -> Tensor:
    """Add the mean of the whole to the mean of each segment; (batch, channels, segments)."""
    import torch

    segments = torch.nn.functional.avg_pool1d(x, CONTEXT_FRAMES, CONTEXT_FRAMES, ceil_mode=True)
    return x.mean(dim=-1, keepdim=True) + segments


def _spread(mask: Tensor, frames: Tensor | int) -> Tensor:
    """Repeat each segment's value over its frames; (batch, channels, frames)."""
    return mask.unsqueeze(-1).expand(-1, -1, -1, CONTEXT_FRAMES).flatten(-2)[..., :frames]


class _Layers:
    """The layers that a dictionary of weights describes, by name."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights
        self._used: set[str] = set()

    def has(self, name: str) -> bool:
        return f"{name}.weight" in self._weights

    def children(self, prefix: str) -> list[str]:
        """Names `<prefix><number>` in the weights, by number."""
        numbers = {
            name.removeprefix(prefix).split(".")[0]
            for name in self._weights
            if name.startswith(prefix)
        }
        return [f"{prefix}{number}" for number in sorted(numbers, key=int)]

    def convolve(
        self,
        name: str,
        x: Tensor,
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        dilation: int = 1,
    ) -> Tensor:
        """Convolve over time (3-D input) or over mel and time (4-D input)."""
        import torch

        function = torch.nn.functional.conv1d if x.ndim == 3 else torch.nn.functional.conv2d
        weight, bias = self._take(name, "weight"), self._find(name, "bias")
        return function(x, weight, bias, stride=stride, padding=padding, dilation=dilation)

    def normalise(self, name: str, x: Tensor) -> Tensor:
        """Apply the batch normalisation of an `eval` network."""
        import torch

        return torch.nn.functional.batch_norm(
            x,
            self._take(name, "running_mean"),
            self._take(name, "running_var"),
            self._find(name, "weight"),
            self._find(name, "bias"),
        )

    def activate(self, name: str, x: Tensor) -> Tensor:
        return self.normalise(name, x).relu()

    def require_all_used(self) -> None:
        """Raise ModelUnavailable where the weights hold something that this network has not."""
        unknown = {name for name in self._weights if not name.endswith("num_batches_tracked")}
        unknown -= self._used
        if unknown:
            raise ModelUnavailable(f"not the weights of CAM++: {sorted(unknown)[:3]}")

    def _find(self, name: str, part: str) -> Tensor | None:
        self._used.add(f"{name}.{part}")
        return self._weights.get(f"{name}.{part}")

    def _take(self, name: str, part: str) -> Tensor:
        found = self._find(name, part)
        if found is None:
            raise ModelUnavailable(f"not the weights of CAM++: {name}.{part} is missing")
        return found


def convert(checkpoint: Path, target: Path) -> None:
    """Turn the published weights into a checked ONNX file.

    Raises:
        ModelUnavailable: the weights are not CAM++'s, or ONNX Runtime disagrees with torch.
    """
    import torch

    export_onnx(torch.load(checkpoint, weights_only=True, map_location="cpu"), target)


def export_onnx(weights: Mapping[str, Tensor], target: Path) -> None:
    """Write the network as ONNX (`feats` to `embs`, batch and time dynamic) and check it.

    Raises:
        ModelUnavailable: the weights are not CAM++'s, or ONNX Runtime disagrees with torch.
    """
    import torch

    class Network(torch.nn.Module):  # type: ignore[misc]
        """The function above in the form that the exporter takes."""

        def forward(self, features: Tensor) -> Tensor:
            return embed(weights, features)

    example = torch.zeros(1, 3 * CONTEXT_FRAMES, MEL_BINS)
    with torch.inference_mode(), warnings.catch_warnings():
        # The TorchScript exporter says that it is the older one of two; the newer needs onnxscript.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            Network().eval(),
            (example,),
            str(target),
            input_names=["feats"],
            output_names=["embs"],
            dynamic_axes={"feats": {0: "batch", 1: "frames"}, "embs": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        _check(weights, target)


def _check(weights: Mapping[str, Tensor], target: Path) -> None:
    """Compare the export with torch on noise of several lengths and batch sizes."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    for batch, frames in enumerate(CHECKED_FRAMES, start=1):
        features = torch.randn(batch, frames, MEL_BINS, generator=generator)
        exported = session.run(["embs"], {"feats": features.numpy()})[0]
        difference = float(np.abs(exported - embed(weights, features).numpy()).max())
        if not difference < TOLERANCE:
            raise ModelUnavailable(f"the ONNX export of CAM++ is off by {difference:.1e}")
