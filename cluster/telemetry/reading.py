"""What Ray's agents export, read back: the same figures that Prometheus scrapes, without one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cluster.telemetry.catalogue import Metric

SECONDS = 5.0
"""How long a node may take to answer."""
NODES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    series: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Samples:
    """What nodes told at one moment, and which of them did not answer."""

    found: Sequence[Sample]
    silent: Sequence[str] = ()

    def by(
        self,
        metric: Metric,
        label: str,
        together: Callable[[Iterable[float]], float] = sum,
        **only: str,
    ) -> dict[str, float]:
        """A counter or gauge by one of its labels; others are taken together."""
        [series] = metric.series
        values: dict[str, list[float]] = {}
        for sample in self.found:
            if sample.series == series and only.items() <= sample.labels.items():
                values.setdefault(sample.labels.get(label, ""), []).append(sample.value)
        return {name: together(some) for name, some in sorted(values.items())}


def parsed(text: str) -> list[Sample]:
    """The samples of one answer."""
    return [
        Sample(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def read(targets: Sequence[str]) -> Samples:
    """Ask these nodes (`host:port`), all at once."""
    found: list[Sample] = []
    silent = []
    with ThreadPoolExecutor(NODES_AT_ONCE) as pool:
        for target, text in zip(targets, pool.map(_ask, targets), strict=True):
            if text is None:
                silent.append(target)
            else:
                found += parsed(text)
    return Samples(found, silent)


def _ask(target: str) -> str | None:
    try:
        answer = httpx.get(f"http://{target}/metrics", timeout=SECONDS, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer.text if answer.is_success else None
