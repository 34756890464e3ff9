"""What a replica says of its speed: that of its fuller batches, and how long it worked."""

import pytest

from serving.deployments.batching import BatchNote
from serving.deployments.speed import REMEMBERED, Speed


def batch(items: int, seconds: float, audio_seconds: float) -> BatchNote:
    return BatchNote(items, 8, seconds, audio_seconds, audio_seconds, ())


def test_nothing_done_is_nothing_said():
    assert set(Speed().stats().values()) == {0.0}


def test_half_empty_batches_do_not_slow_it():
    speed = Speed()
    for _ in range(10):
        speed.note(batch(8, 4.0, 240.0))
        speed.note(batch(1, 2.0, 30.0))
    told = speed.stats()
    assert told["audio_seconds"] / told["busy_seconds"] == pytest.approx(60)
    assert told["worked_seconds"] == pytest.approx(60)


def test_with_nothing_but_single_windows_it_is_their_speed():
    speed = Speed()
    speed.note(batch(1, 2.0, 30.0))
    told = speed.stats()
    assert told["audio_seconds"] / told["busy_seconds"] == pytest.approx(15)


def test_what_is_long_past_is_forgotten():
    speed = Speed()
    speed.note(batch(8, 1000.0, 240.0))
    for _ in range(REMEMBERED):
        speed.note(batch(8, 4.0, 240.0))
    told = speed.stats()
    assert told["audio_seconds"] / told["busy_seconds"] == pytest.approx(60)


def test_batches_beside_each_other_count_once():
    speed = Speed(threads=2)
    speed.note(batch(8, 4.0, 120.0))
    speed.note(batch(8, 4.0, 120.0))
    told = speed.stats()
    assert told["audio_seconds"] / told["busy_seconds"] == pytest.approx(60)
    assert told["worked_seconds"] == pytest.approx(4)


def test_batches_without_audio_are_work_and_say_nothing_of_speed():
    speed = Speed()
    speed.note(batch(4, 1.0, 0.0))
    assert speed.stats() == {"audio_seconds": 0.0, "busy_seconds": 0.0, "worked_seconds": 1.0}
