"""The catalogue of metrics, where they are counted, and how they are read back."""

import re

import pytest
from prometheus_client.exposition import generate_latest
from pydantic import ValidationError

from cluster.settings import PriceSettings, TelemetrySettings
from cluster.telemetry import catalogue
from cluster.telemetry.catalogue import METRICS, Kind, Origin
from cluster.telemetry.exporter import headers
from cluster.telemetry.meters import RegistryMeters
from cluster.telemetry.reading import Samples, parsed


class TestCatalogue:
    def test_names_are_prometheus_and_no_series_is_named_twice(self):
        for metric in METRICS:
            assert re.fullmatch(r"rayscribe_[a-z_]+", metric.name)
            assert not metric.name.endswith("_total"), "exporters add it"
            assert metric.meaning
        series = [name for metric in METRICS for name in metric.series]
        assert len(series) == len(set(series))

    def test_histograms_have_buckets_and_others_none(self):
        for metric in METRICS:
            assert bool(metric.buckets) == (metric.kind is Kind.histogram), metric.name
            # Ray takes none that are not above zero.
            assert all(bound > 0 for bound in metric.buckets)
            assert list(metric.buckets) == sorted(metric.buckets)

    def test_every_metric_is_counted_by_exactly_one(self):
        counted = [metric for origin in Origin for metric in catalogue.of(origin)]
        assert sorted(m.name for m in counted) == sorted(m.name for m in METRICS)

    def test_labels_of_serve_are_not_ours(self):
        for metric in METRICS:
            assert not set(metric.labels) & set(catalogue.SERVE_LABELS), metric.name


class TestRegistry:
    def test_counts_sets_observes(self):
        meters = RegistryMeters(METRICS)
        meters.add(catalogue.ATTEMPTS, kind="transcription", outcome="completed")
        meters.add(catalogue.ATTEMPTS, 2, kind="transcription", outcome="completed")
        meters.set(catalogue.RUNNING_TASKS, 3)
        meters.observe(catalogue.TASK_WAIT, 4.0, lane="live")
        told = {"kind": "transcription", "outcome": "completed"}
        assert meters.value("rayscribe_attempts_total", **told) == 3
        assert meters.value("rayscribe_running_tasks") == 3
        assert meters.value("rayscribe_task_wait_seconds_bucket", lane="live", le="5.0") == 1
        assert meters.value("rayscribe_task_wait_seconds_bucket", lane="live", le="2.5") == 0

    def test_what_is_forgotten_is_not_shown(self):
        meters = RegistryMeters(METRICS)
        meters.set(catalogue.USER_AUDIO, 5, user_id="a")
        meters.forget(catalogue.USER_AUDIO)
        assert b"user_id" not in generate_latest(meters.registry)

    def test_a_label_that_is_not_in_the_catalogue_is_refused(self):
        with pytest.raises(ValueError, match="label"):
            RegistryMeters(METRICS).add(catalogue.BATCHES, method="transcribe", user="x")


class TestReading:
    def samples(self) -> Samples:
        text = (
            "# TYPE ray_rayscribe_batch_items_total counter\n"
            'ray_rayscribe_batch_items_total{method="transcribe",replica="a"} 3\n'
            'ray_rayscribe_batch_items_total{method="transcribe",replica="b"} 4\n'
            'ray_rayscribe_batch_items_total{method="align",replica="a"} 9\n'
            "# TYPE ray_rayscribe_replica_memory_bytes gauge\n"
            'ray_rayscribe_replica_memory_bytes{deployment="Aligner",replica="a"} 10\n'
            'ray_rayscribe_replica_memory_bytes{deployment="Aligner",replica="b"} 20\n'
        )
        return Samples(parsed(text))

    def test_sums_by_a_label(self):
        assert self.samples().by(catalogue.BATCH_ITEMS, "method") == {"align": 9, "transcribe": 7}

    def test_only_some(self):
        found = self.samples().by(catalogue.BATCH_ITEMS, "method", replica="a")
        assert found == {"align": 9, "transcribe": 3}

    def test_the_largest(self):
        assert self.samples().by(catalogue.REPLICA_MEMORY, "deployment", max) == {"Aligner": 20}


class TestSettings:
    def test_a_header_without_a_value_is_refused_without_showing_it(self):
        with pytest.raises(ValidationError) as refused:
            TelemetrySettings(otlp_headers="authorization")
        assert "authorization" not in str(refused.value)

    def test_an_endpoint_is_a_url(self):
        with pytest.raises(ValidationError):
            TelemetrySettings(otlp_endpoint="collector:4318")

    def test_headers_are_read_alike_where_settings_are_not_at_hand(self):
        assert headers("a=1, authorization=Bearer x=y ,") == {
            "a": "1",
            "authorization": "Bearer x=y",
        }

    def test_users_are_named_to_who_shows_the_token_only(self):
        settings = TelemetrySettings(metrics_token="s3cret")
        assert settings.names_users_to("Bearer s3cret")
        assert not settings.names_users_to("Bearer s3cre")
        assert not settings.names_users_to("")
        assert not TelemetrySettings().names_users_to("Bearer ")

    def test_a_star_is_all_that_is_not_named(self):
        prices = PriceSettings(
            model_hours={"transcribe": 2, "*": 1}, million_tokens={"*": (3, 4), "x": (5, 6)}
        )
        assert (prices.model_hour("transcribe"), prices.model_hour("align")) == (2, 1)
        assert (prices.tokens("x"), prices.tokens("y")) == ((5, 6), (3, 4))
        assert PriceSettings().tokens("y") == (0, 0)

    def test_a_price_below_nothing_is_refused(self):
        with pytest.raises(ValidationError):
            PriceSettings(audio_hour=-1)
