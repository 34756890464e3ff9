"""Everything that Grafana and Prometheus are told to show exists, and can be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from cluster.telemetry.catalogue import METRICS, Kind

MONITORING = Path(__file__).parents[3] / "docker" / "monitoring"
DASHBOARD = json.loads(
    (MONITORING / "grafana" / "dashboards" / "rayscribe.json").read_text(encoding="utf-8")
)
RULES = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
CONFIGURATION = yaml.safe_load((MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))

KNOWN = {name: metric for metric in METRICS for name in metric.series}
PROMETHEUS_OWN = {"up": ("job", "instance")}
"""What Prometheus itself knows of what it scrapes."""
LABELS = {
    **{name: metric.all_labels for name, metric in KNOWN.items()},
    **PROMETHEUS_OWN,
}
EVERYWHERE = {"job", "instance", "le"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def questions() -> list[tuple[str, str]]:
    """Every expression of the dashboard and the rules, with where it stands."""
    shown = [
        # Grafana's own variable; what it stands for is a duration.
        (panel["title"], target["expr"].replace("$__rate_interval", "5m"))
        for panel in panels()
        for target in panel["targets"]
    ]
    alerts = [(rule["alert"], rule["expr"]) for group in RULES["groups"] for rule in group["rules"]]
    return shown + alerts


def parts(expression: Any) -> Iterator[Any]:
    """An expression and all that is in it."""
    yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector", "args", "param"):
        inner = getattr(expression, name, None)
        for one in inner if isinstance(inner, list) else [inner]:
            if isinstance(one, promql_parser.Expr):
                yield from parts(one)


def selectors(expression: str) -> list[Any]:
    found = parts(promql_parser.parse(expression))
    return [one for one in found if isinstance(one, promql_parser.VectorSelector)]


def raw_counters(expression: str) -> list[str]:
    """Counters that are read as they stand, over no range."""
    found = list(parts(promql_parser.parse(expression)))
    names = [one.name for one in found if isinstance(one, promql_parser.VectorSelector)]
    for one in found:
        if isinstance(one, promql_parser.MatrixSelector):
            names.remove(one.vector_selector.name)
    return [name for name in names if name in KNOWN and KNOWN[name].kind is not Kind.gauge]


@pytest.mark.parametrize(("where", "expression"), questions())
class TestQuestions:
    def test_it_parses_and_asks_for_metrics_that_exist(self, where: str, expression: str):
        asked = selectors(expression)
        assert asked, where
        for selector in asked:
            assert selector.name in LABELS, f"{where}: nobody counts {selector.name}"

    def test_its_labels_exist(self, where: str, expression: str):
        known = {label for one in selectors(expression) for label in LABELS[one.name]}
        for one in selectors(expression):
            for matcher in one.matchers.matchers:
                assert matcher.name in {*LABELS[one.name], *EVERYWHERE}, f"{where}: {matcher.name}"
        for part in parts(promql_parser.parse(expression)):
            if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
                assert set(part.modifier.labels) <= known | EVERYWHERE, where

    def test_counters_are_asked_for_how_fast_they_grow(self, where: str, expression: str):
        assert raw_counters(expression) == [], where


def test_the_parser_sees_into_every_form_that_is_used():
    deep = (
        "histogram_quantile(0.9, sum by (lane, le) (rate(a_bucket[5m]))) / max(b) "
        "and on () (sum(increase(c_total[1h])) or vector(0)) == 0"
    )
    assert sorted(one.name for one in selectors(deep)) == ["a_bucket", "b", "c_total"]


@pytest.mark.parametrize(
    "expression",
    [
        "rayscribe_http_requests_total",
        "rayscribe_http_requests_total > 5",
        "5 < rayscribe_http_requests_total",
        "abs(rayscribe_http_requests_total)",
        "sum by (route) (rayscribe_http_requests_total)",
        "rate(rayscribe_http_requests_total[5m]) / rayscribe_http_requests_total",
    ],
)
def test_a_counter_that_is_read_as_it_stands_is_found(expression: str):
    assert raw_counters(expression) == ["rayscribe_http_requests_total"]


def test_every_metric_of_ours_is_shown_or_watched():
    asked = {one.name for _, expression in questions() for one in selectors(expression)}
    unseen = [metric.name for metric in METRICS if not asked & set(metric.series)]
    # How long the oldest waits is what hurts; items over places says more than items over batches.
    assert unseen == ["rayscribe_outbox_due", "rayscribe_batches"]


def test_rules_are_complete():
    names = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
    assert len(names) == len(set(names))
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert set(rule["annotations"]) == {"summary", "action"}


def test_the_dashboard_is_one_that_grafana_takes():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert DASHBOARD["uid"] == "rayscribe"
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        # The source is chosen above the dashboard: no installation's own is written in.
        assert panel["datasource"]["uid"] == "${datasource}"


def test_scraping_keeps_what_is_asked_for():
    [ray] = [job for job in CONFIGURATION["scrape_configs"] if job["job_name"] == "ray"]
    [kept] = [rule["regex"] for rule in ray["metric_relabel_configs"] if rule["action"] == "keep"]
    import re

    asked = {one.name for _, expression in questions() for one in selectors(expression)}
    for name in asked:
        if name.startswith("ray_"):
            assert re.fullmatch(kept, name), name
    assert CONFIGURATION["rule_files"] == ["alerts.yaml"]
