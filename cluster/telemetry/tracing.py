"""Traces: the spans of a task.

Serve carries the trace from the runner to the replicas, and has each of its processes send spans
away (cluster.telemetry.exporter), where its configuration says so (`tracing_config`). Elsewhere
there are no spans, and nothing here costs much.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode

SERVICE = "rayscribe"

_trace_id: ContextVar[int | None] = ContextVar("trace_id", default=None)


class TaskIds(RandomIdGenerator):
    """Ids at random, but for a task's trace: all attempts at a task are in one."""

    def generate_trace_id(self) -> int:
        """The task's in hand, or a random one."""
        return _trace_id.get() or super().generate_trace_id()


def trace_id(task_id: uuid.UUID) -> int:
    """The trace of a task: not its id itself, whose bits are not as even as samplers need."""
    return int.from_bytes(hashlib.sha256(task_id.bytes).digest()[:16], "big")


@contextmanager
def task_span(task_id: uuid.UUID, name: str, **attributes: Any) -> Iterator[Span]:
    """The root of an attempt's spans."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider) and not isinstance(provider.id_generator, TaskIds):
        provider.id_generator = TaskIds()
    token = _trace_id.set(trace_id(task_id))
    try:
        with _span(name, Context(), {"task_id": str(task_id), **attributes}) as span:
            yield span
    finally:
        _trace_id.reset(token)


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span]:
    """A part of what is going on."""
    with _span(name, None, attributes) as found:
        yield found


@contextmanager
def _span(name: str, context: Context | None, attributes: Mapping[str, Any]) -> Iterator[Span]:
    """A span that says of an error only of which kind it is: messages may hold names and text."""
    tracer = trace.get_tracer(SERVICE)
    with tracer.start_as_current_span(
        name,
        context=context,
        attributes=dict(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as found:
        try:
            yield found
        except BaseException as error:
            found.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def caller() -> SpanContext:
    """The span that is going on: what a batch remembers of each item."""
    return trace.get_current_span().get_span_context()


def batch_span(
    name: str, callers: Sequence[SpanContext], began_at: float, ended_at: float, **attributes: Any
) -> None:
    """Note a batch that has ended (seconds since the epoch), under its first traced item.

    The others are linked: a span has one parent, a batch has many.
    """
    traced = [one for one in callers if one.is_valid and one.trace_flags.sampled]
    if not traced:
        return
    parent = trace.set_span_in_context(trace.NonRecordingSpan(traced[0]))
    found = trace.get_tracer(SERVICE).start_span(
        name,
        context=parent,
        kind=SpanKind.INTERNAL,
        attributes=attributes,
        links=[Link(one) for one in traced[1:]],
        start_time=int(began_at * 1e9),
    )
    found.end(int(ended_at * 1e9))
