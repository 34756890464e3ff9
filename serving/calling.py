"""Whose work a call is: the id of a task, on its way from the runner to the replicas.

It goes as Serve's request id, which Serve hands on with every call and shows in its own logs.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

PREFIX = "task-"
"""Before a task's id: other requests have ids of their own."""


@contextmanager
def named_after_task() -> Iterator[None]:
    """Calls that the block makes carry the id of the task that this process works on."""
    task_id = structlog.contextvars.get_contextvars().get("task_id")
    if task_id is None:
        yield
        return
    from ray.serve import context

    current: ContextVar[Any] = context._serve_request_context  # noqa: SLF001
    token = current.set(context._RequestContext(request_id=f"{PREFIX}{task_id}"))  # noqa: SLF001
    try:
        yield
    finally:
        current.reset(token)


def task_id() -> str | None:
    """The task whose work is in hand here, in the runner or in a replica; None: no task's."""
    known: str | None = structlog.contextvars.get_contextvars().get("task_id")
    if known is not None:
        return known
    serve = sys.modules.get("ray.serve.context")
    # Where Serve was never imported, nobody calls through it.
    request = serve._serve_request_context.get() if serve else None  # noqa: SLF001
    name: str = request.request_id if request else ""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None
