"""pyannote.audio models as safetensors and JSON: converted once, then read without pickle."""

import json
import os
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

from serving.errors import ModelUnavailable, OutOfMemory

Item = TypeVar("Item")
Result = TypeVar("Result")

WEIGHTS = "model.safetensors"
DESCRIPTION = "config.json"
FILES = (WEIGHTS, DESCRIPTION)

ARCHITECTURES = {
    "PyanNet": "pyannote.audio.models.segmentation",
    "WeSpeakerResNet34": "pyannote.audio.models.embedding",
}
"""The classes that a description may name, and where each is."""


def quiet() -> None:
    """Switch pyannote's telemetry off; to be called before pyannote is imported."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"


def convert(checkpoint: Path, folder: Path) -> None:
    """Write a Lightning checkpoint's weights and description into `folder`.

    The checkpoint is a pickle: whoever calls has checked where it comes from.

    Raises:
        ModelUnavailable: it is of an architecture that no engine uses.
    """
    quiet()
    from pyannote.audio import Model
    from safetensors.torch import save_file

    model = Model.from_pretrained(checkpoint)
    architecture = type(model).__name__
    if architecture not in ARCHITECTURES:
        raise ModelUnavailable(f"no engine uses a pyannote model of kind {architecture}")
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, str(folder / WEIGHTS))
    description = {
        "architecture": architecture,
        # Some classes note more than they take; Lightning leaves that out too.
        "hyper_parameters": {
            name: model.hparams[name]
            for name in signature(type(model)).parameters
            if name in model.hparams
        },
        "specifications": _describe(model.specifications),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def load(folder: Path, device: str, threads: int) -> Any:
    """Build the model that `convert` wrote, in `eval` mode on `device`; sets torch's threads.

    Raises:
        ModelUnavailable: files are missing, or the weights do not fit their description.
    """
    quiet()
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    if not all((folder / name).is_file() for name in FILES):
        raise ModelUnavailable(f"no converted pyannote model in {folder}: run `make models`")
    model = _build(json.loads((folder / DESCRIPTION).read_text()))
    try:
        model.load_state_dict(load_file(str(folder / WEIGHTS)), strict=True)
    except RuntimeError as error:
        raise ModelUnavailable(f"{folder} does not fit its description: {error}") from error
    return model.eval().to(torch.device(device))


def reproducible(device: Any) -> None:
    """Compute on GPUs as pyannote's own pipelines do: without TensorFloat-32."""
    import torch

    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


def in_halves(run: Callable[[Sequence[Item]], list[Result]], batch: Sequence[Item]) -> list[Result]:
    """Run a batch; where memory does not suffice, its halves.

    Raises:
        OutOfMemory: a single item does not fit.
    """
    import torch

    try:
        return run(batch)
    except (torch.OutOfMemoryError, MemoryError) as error:
        if len(batch) == 1:
            raise OutOfMemory(f"a single item does not fit: {error}") from error
    middle = len(batch) // 2
    return [*in_halves(run, batch[:middle]), *in_halves(run, batch[middle:])]


def _build(description: dict[str, Any]) -> Any:
    """Build the untrained network of a description."""
    from importlib import import_module

    architecture = description["architecture"]
    if architecture not in ARCHITECTURES:
        raise ModelUnavailable(f"no engine uses a pyannote model of kind {architecture}")
    kind = getattr(import_module(ARCHITECTURES[architecture]), architecture)
    model = kind(**description["hyper_parameters"])
    model.specifications = _specifications(description["specifications"])
    model.setup()
    return model


def _describe(specifications: Any) -> dict[str, Any]:
    return {
        "problem": specifications.problem.name,
        "resolution": specifications.resolution.name,
        "duration": specifications.duration,
        "min_duration": specifications.min_duration,
        "warm_up": list(specifications.warm_up or (0.0, 0.0)),
        "classes": specifications.classes,
        "powerset_max_classes": specifications.powerset_max_classes,
        "permutation_invariant": specifications.permutation_invariant,
    }


def _specifications(description: dict[str, Any]) -> Any:
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    named = {
        "problem": Problem[description["problem"]],
        "resolution": Resolution[description["resolution"]],
        "warm_up": tuple(description["warm_up"]),
    }
    return Specifications(**{**description, **named})
