"""Sends spans to the operator's collector: what Serve calls in each of its processes.

Also in those of the language model, whose environment has none of our libraries but these: so it
reads its two settings (cluster.settings.TelemetrySettings) from the environment by itself.
"""

import os

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SERVICE = "rayscribe"


def span_processors() -> list[SpanProcessor]:
    """Sends spans in batches, from a thread; what the collector does not take is dropped."""
    # Serve makes the provider right after this, and its name comes from here.
    os.environ.setdefault("OTEL_SERVICE_NAME", SERVICE)
    session = requests.Session()
    # A proxy of the environment is for the world outside, not for the operator's own server.
    session.trust_env = False
    exporter = OTLPSpanExporter(
        os.environ["RAYSCRIBE_OTLP_ENDPOINT"],
        headers=headers(os.environ.get("RAYSCRIBE_OTLP_HEADERS", "")),
        session=session,
    )
    return [BatchSpanProcessor(exporter)]


def headers(told: str) -> dict[str, str]:
    """`name=value`, separated by commas."""
    pairs = [one.partition("=") for one in told.split(",") if one.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs}
