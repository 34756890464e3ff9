"""Batches that do not fit into the memory there is."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from serving.errors import OutOfMemory

Item = TypeVar("Item")
Result = TypeVar("Result")


def within_memory(
    run: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]
) -> list[Result | OutOfMemory]:
    """Run a batch; where memory does not suffice, in halves, and at last item by item."""
    try:
        return [*run(items)]
    except RuntimeError as error:
        # CTranslate2 has no class for it: "CUDA out of memory", "CUDA failed with error out of…".
        if "out of memory" not in str(error).lower():
            raise
        if len(items) == 1:
            return [OutOfMemory(f"one window does not fit: {error}")]
    middle = len(items) // 2
    return within_memory(run, items[:middle]) + within_memory(run, items[middle:])
