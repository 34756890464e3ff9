"""Spans of tasks: whose trace they are in, and what they never say."""

import uuid

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from cluster.telemetry import tracing


@pytest.fixture
def spans(monkeypatch) -> InMemorySpanExporter:
    """A provider of this test's own: a process has one, and cannot change it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def by_name(spans: InMemorySpanExporter) -> dict:
    return {span.name: span for span in spans.get_finished_spans()}


def test_all_attempts_of_a_task_are_in_one_trace(spans):
    task_id = uuid.uuid4()
    for attempt in (1, 2):
        with tracing.task_span(task_id, "task", attempt=attempt), tracing.span("transcribe"):
            pass
    finished = spans.get_finished_spans()
    assert {span.context.trace_id for span in finished} == {tracing.trace_id(task_id)}
    assert len({span.context.span_id for span in finished}) == 4


def test_other_tasks_and_other_spans_are_in_other_traces(spans):
    with tracing.task_span(uuid.uuid4(), "one"):
        pass
    with tracing.task_span(uuid.uuid4(), "two"):
        pass
    with tracing.span("three"):
        pass
    assert len({span.context.trace_id for span in spans.get_finished_spans()}) == 3


def test_an_error_says_of_which_kind_it_is_and_no_more(spans):
    def fail() -> None:
        with tracing.task_span(uuid.uuid4(), "task"), tracing.span("stage"):
            raise ValueError("a secret name")

    with pytest.raises(ValueError, match="secret"):
        fail()
    for span in spans.get_finished_spans():
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "ValueError"
        assert not span.events


def test_a_batch_is_under_its_first_item_and_linked_to_the_others(spans):
    callers = []
    for number in range(3):
        with tracing.task_span(uuid.uuid4(), f"task {number}"):
            callers.append(tracing.caller())
    tracing.batch_span("batch", callers, 100.0, 102.5, items=3)
    batch = by_name(spans)["batch"]
    assert batch.parent.span_id == callers[0].span_id
    assert batch.context.trace_id == callers[0].trace_id
    assert [link.context.trace_id for link in batch.links] == [one.trace_id for one in callers[1:]]
    assert (batch.end_time - batch.start_time) / 1e9 == pytest.approx(2.5)
    assert batch.attributes["items"] == 3


def test_a_batch_that_nobody_traces_has_no_span(spans):
    tracing.batch_span("batch", [tracing.caller()], 100.0, 101.0)
    assert not spans.get_finished_spans()


def test_without_a_provider_nothing_happens(monkeypatch):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    with tracing.task_span(uuid.uuid4(), "task") as span, tracing.span("stage"):
        assert not span.is_recording()
    tracing.batch_span("batch", [tracing.caller()], 1.0, 2.0)
