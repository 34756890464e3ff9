"""What a replica tells of its batches."""

from cluster.telemetry import catalogue
from cluster.telemetry.catalogue import Origin
from cluster.telemetry.meters import RegistryMeters
from serving.deployments.batching import BatchNote
from serving.deployments.telemetry import Caller, ReplicaTelemetry


def test_a_batch_is_counted():
    meters = RegistryMeters(catalogue.of(Origin.replica))
    telemetry = ReplicaTelemetry("transcriber", meters)
    waits = (("live", 0.02), ("bulk", 3.0))
    telemetry.note("transcribe", BatchNote(2, 8, 1.5, 40.0, 60.0, waits, (Caller.here(),) * 2))
    telemetry.show_memory()
    of = {"method": "transcribe"}
    assert meters.value("rayscribe_batches_total", **of) == 1
    assert meters.value("rayscribe_batch_items_total", **of) == 2
    assert meters.value("rayscribe_batch_places_total", **of) == 8
    assert meters.value("rayscribe_batch_busy_seconds_total", **of) == 1.5
    assert meters.value("rayscribe_batch_audio_seconds_total", **of) == 40
    assert meters.value("rayscribe_batch_padded_seconds_total", **of) == 60
    assert meters.value("rayscribe_batch_wait_seconds_count", lane="bulk", **of) == 1
    assert meters.value("rayscribe_replica_memory_bytes") > 1_000_000
