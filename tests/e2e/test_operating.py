"""What an operator sees of a running service: metrics, traces, logs, use, one screen."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from cluster.embedded.installation import Installation
from cluster.telemetry import catalogue, reading, tracing
from cluster.telemetry.catalogue import Origin
from tests.e2e.test_command_line import recording
from tests.fixtures.collector import Collector, Received
from tests.fixtures.stack import METRICS_TOKEN, Stack

pytestmark = pytest.mark.stack

SECONDS = 90
"""Ray's agents report every ten seconds, spans go away every five."""
UNSEEN = {
    "rayscribe_failures",
    "rayscribe_fence_rejections",
    "rayscribe_tokens",
}
"""Nothing failed, nobody lost a task, and no summary was asked for: counters of these have no
series yet. (Whether another test caused some does not matter.)"""


@pytest.fixture(scope="module")
def task_id(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> uuid.UUID:
    """A transcription that was done here."""
    path = recording(tmp_path_factory.mktemp("operating"), "operating.wav", 26_460)
    stack.command("transcribe", str(path))
    [row] = stack.query(
        "SELECT task.id FROM task JOIN media_file ON media_file.id = task.media_file_id "
        "WHERE media_file.filename = 'operating.wav' AND task.kind = 'transcription'"
    )
    return row["id"]


def eventually(met: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if met():
            return True
        time.sleep(1)
    return met()


def exported(stack: Stack) -> reading.Samples:
    """What Ray's agents say now."""
    dashboard = Installation(stack.data_dir).dashboard()
    assert dashboard is not None
    return reading.read(dashboard.metric_targets())


class TestMetrics:
    def test_runners_and_replicas_export_every_metric_of_theirs(self, stack, task_id):
        wanted = {
            metric.name: metric
            for origin in (Origin.runner, Origin.replica)
            for metric in catalogue.of(origin)
            if metric.name not in UNSEEN
        }

        def missing() -> list[str]:
            known = {sample.series for sample in exported(stack).found}
            return [name for name, metric in wanted.items() if not set(metric.series) <= known]

        assert eventually(lambda: not missing()), missing()

    def test_labels_are_those_of_the_catalogue(self, stack, task_id):
        by_series = {series: metric for metric in catalogue.METRICS for series in metric.series}
        seen = [one for one in exported(stack).found if one.series.startswith("ray_rayscribe_")]
        assert seen
        for sample in seen:
            known = {*by_series[sample.series].all_labels, "le"}
            # Ray adds where it was counted, OpenTelemetry by what.
            added = {"SessionName", "NodeAddress", "Version", "WorkerId", "Component"}
            told = {label for label in sample.labels if not label.startswith("otel_scope_")}
            assert told <= known | added, sample
            assert sample.labels["replica"]

    def test_the_api_names_users_to_prometheus_only(self, stack, task_id):
        token = {"authorization": f"Bearer {METRICS_TOKEN}"}
        [row] = stack.query("SELECT user_id FROM task WHERE id = $1", task_id)
        named = httpx.get(f"{stack.url}/metrics", headers=token, timeout=30).text
        assert f'rayscribe_user_audio_seconds{{user_id="{row["user_id"]}"}}' in named
        assert str(row["user_id"]) not in httpx.get(f"{stack.url}/metrics", timeout=30).text


class TestTraces:
    def spans(self, collector: Collector, task_id: uuid.UUID) -> list[Received]:
        trace_id = tracing.trace_id(task_id)

        def arrived() -> bool:
            found = {span.name for span in collector.trace(trace_id)}
            return {"task transcription", "batch transcribe", "batch embed"} <= found

        assert eventually(arrived), sorted({span.name for span in collector.spans})
        return collector.trace(trace_id)

    def test_a_task_is_a_trace_of_its_stages_and_batches(self, collector, stack, task_id):
        spans = self.spans(collector, task_id)
        [root] = [span for span in spans if span.name == "task transcription"]
        assert root.parent_id == b""
        assert root.attributes["task_id"] == str(task_id)
        assert root.attributes["outcome"] == "completed"
        stages = {span.name: span for span in spans if span.parent_id == root.span_id}
        assert {"prepare", "transcribe", "diarize", "align"} <= set(stages)
        known = {span.span_id for span in spans}
        assert all(span.parent_id in known for span in spans if span is not root)
        batches = [span for span in spans if span.name == "batch transcribe"]
        assert all(str(task_id) in span.attributes["task_ids"] for span in batches)
        assert all(0 < span.attributes["items"] <= span.attributes["size"] for span in batches)
        assert {span.service for span in spans} == {"rayscribe"}

    def test_it_says_nothing_of_what_was_said_or_by_whom(self, collector, stack, task_id):
        [row] = stack.query(
            'SELECT email FROM "user" JOIN task ON task.user_id = "user".id WHERE task.id = $1',
            task_id,
        )
        told = repr(self.spans(collector, task_id))
        assert row["email"] not in told
        assert "operating.wav" not in told
        words = stack.query(
            "SELECT segment.text FROM segment JOIN transcript ON transcript.id = transcript_id "
            "JOIN task ON task.media_file_id = transcript.media_file_id WHERE task.id = $1",
            task_id,
        )
        assert not any(row["text"] in told for row in words if len(row["text"]) > 10)

    def test_the_collector_is_shown_the_key(self, collector, stack, task_id):
        self.spans(collector, task_id)
        assert {told["authorization"] for told in collector.headers} == {"Bearer collector"}


class TestLogs:
    def test_serves_own_logs_of_replicas_name_the_task(self, stack, task_id):
        logs = list((stack.data_dir / "logs" / "serve").glob("replica_pipelines_Transcriber*"))
        assert logs
        assert eventually(lambda: any(f"task-{task_id}" in log.read_text() for log in logs))

    def test_replicas_have_logs_of_their_own(self, stack, task_id):
        for part in ("runner", "transcriber", "speaker_embedder"):
            assert (stack.data_dir / "logs" / f"{part}.log").exists(), part
        assert str(task_id) in (stack.data_dir / "logs" / "runner.log").read_text()


class TestUse:
    def test_what_it_took_is_in_the_ledger(self, stack, task_id):
        rows = stack.query(
            "SELECT measure, stage, amount FROM usage_entry WHERE task_id = $1", task_id
        )
        amounts = {(row["measure"], row["stage"]): row["amount"] for row in rows}
        assert amounts["audio_seconds", ""] == pytest.approx(30.0, abs=0.1)
        assert amounts["model_seconds", "transcribe"] > 0

    def test_the_user_sees_it(self, stack, task_id):
        with stack.client() as client:
            found = client.get("/api/users/me/usage").json()["data"]
        assert found["audio_seconds"] >= 29
        assert found["cost"] == pytest.approx(found["audio_seconds"] / 3600 * 1.2, rel=1e-3)


class TestScreen:
    def test_one_screen(self, stack: Stack, task_id):
        shown = ""

        def complete() -> bool:
            nonlocal shown
            shown = stack.command("status").stdout
            return "GiB" in shown and "end to end" in shown

        assert eventually(complete), shown
        for word in ("supervisor", "Transcriber", "Runner", "HEALTHY", "%", "interactive", "RTFx"):
            assert word in shown
        assert "no metrics from" not in shown

    def test_what_failed_is_on_it(self, stack: Stack, tmp_path: Path):
        path = tmp_path / "noise.wav"
        path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
        stack.command("transcribe", str(path), check=False)
        user = stack.query('SELECT id FROM "user" LIMIT 1')[0]["id"]
        stack.query(
            "INSERT INTO task (user_id, kind, state, lane, options, audio_seconds, attempt, fence, "
            "progress, error_type, error_message, finished_at) VALUES ($1, 'transcription', "
            "'failed', 'bulk', '{}', 0, 3, 1, 0, 'invalid_media', '[red]not[/] media', now())",
            user,
        )
        shown = stack.command("status").stdout
        assert "invalid_media" in shown
        # Words of others are no markup.
        assert "[red]not[/] media" in shown
