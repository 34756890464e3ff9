"""Where metrics are counted: in a Prometheus registry of one's own, or through Ray."""

from collections.abc import Iterable
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cluster.telemetry.catalogue import Kind, Metric


class Meters(Protocol):
    """What somebody counts with who does not care where it goes. Threads may share it."""

    def add(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """So much more of a counter."""
        ...

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """What a gauge says from now on."""
        ...

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """One more value of a histogram."""
        ...


class RegistryMeters:
    """Metrics in a registry of Prometheus' client."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.registry = CollectorRegistry()
        self._made = {metric.name: self._make(metric) for metric in metrics}

    def add(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """See Meters."""
        self._labelled(metric, labels).inc(amount)

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """See Meters."""
        self._labelled(metric, labels).set(value)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """See Meters."""
        self._labelled(metric, labels).observe(value)

    def forget(self, metric: Metric) -> None:
        """Drop all series of a metric: what is not set again is not shown any more."""
        self._made[metric.name].clear()

    def value(self, series: str, **labels: str) -> float:
        """What a series says now; 0 where there is none."""
        return self.registry.get_sample_value(series, labels) or 0.0

    def _labelled(self, metric: Metric, labels: dict[str, str]) -> Any:
        made = self._made[metric.name]
        return made.labels(**labels) if labels else made

    def _make(self, metric: Metric) -> Any:
        arguments: dict[str, Any] = {"registry": self.registry}
        if metric.kind is Kind.histogram:
            arguments["buckets"] = metric.buckets
        kinds = {Kind.counter: Counter, Kind.gauge: Gauge, Kind.histogram: Histogram}
        return kinds[metric.kind](metric.name, metric.meaning, metric.labels, **arguments)


class RayMeters:
    """Metrics through Ray: the agent of the node exports them, with the replica's labels.

    Made in a Serve replica; elsewhere the labels are missing.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._made = {metric.name: self._make(metric) for metric in metrics}

    def add(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """See Meters."""
        # Ray refuses to add nothing.
        if amount > 0:
            self._made[metric.name].inc(amount, labels)

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """See Meters."""
        self._made[metric.name].set(value, labels)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """See Meters."""
        self._made[metric.name].observe(value, labels)

    @staticmethod
    def _make(metric: Metric) -> Any:
        from ray.serve import metrics

        known: dict[str, Any] = {"description": metric.meaning, "tag_keys": metric.labels}
        if metric.kind is Kind.histogram:
            boundaries = list(metric.buckets)
            return metrics.Histogram(metric.name, boundaries=boundaries, **known)
        kinds = {Kind.counter: metrics.Counter, Kind.gauge: metrics.Gauge}
        return kinds[metric.kind](metric.name, **known)
