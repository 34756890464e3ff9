"""How Whisper's windows are shared out among its workers, and how much of each is heard."""

from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.whisper import WhisperEngine, WhisperOptions
from serving.engines.whisper_encoder import WHOLE_AXIS, AxisOptions
from serving.speech import SAMPLE_RATE, WINDOW_SECONDS


@given(count=st.integers(0, 60), size=st.integers(1, 16), threads=st.integers(1, 8))
def test_every_window_is_in_one_batch_and_no_worker_is_idle_while_another_has_two(
    count, size, threads
):
    engine = WhisperEngine(WhisperOptions("anywhere", threads=threads, batch_size=size))
    batches = engine._shared_out(range(count)) if count else []
    assert [item for batch in batches for item in batch] == list(range(count))
    lengths = [len(batch) for batch in batches]
    assert all(0 < length <= size for length in lengths)
    assert max(lengths, default=0) - min(lengths, default=0) <= 1
    assert len(batches) >= min(threads, count)


def test_on_a_gpu_a_batch_is_not_divided():
    engine = WhisperEngine(WhisperOptions("anywhere", device="cuda", threads=4, batch_size=16))
    assert [len(batch) for batch in engine._shared_out(range(32))] == [16, 16]


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 8), st.integers(1, 4))
def test_a_batch_has_items_of_one_group(groups, size, threads):
    engine = WhisperEngine(WhisperOptions("anywhere", threads=threads, batch_size=size))
    batches = engine._batches(groups)
    assert sorted(chain.from_iterable(batches)) == list(range(len(groups)))
    assert all(len({groups[index] for index in batch}) == 1 for batch in batches)


@given(st.integers(1, round(WINDOW_SECONDS * SAMPLE_RATE)))
def test_what_is_heard_of_a_window_holds_it_and_its_margin(samples):
    seconds, options = samples / SAMPLE_RATE, AxisOptions()
    heard = options.frames(np.zeros(samples, np.int16)) / 100
    assert min(seconds + options.margin_seconds, WINDOW_SECONDS) <= heard <= WINDOW_SECONDS
    assert heard >= options.shortest_seconds
    assert heard % options.step_seconds == 0


def test_a_longer_window_is_never_heard_for_less():
    windows = [np.zeros(tenth * SAMPLE_RATE // 10, np.int16) for tenth in range(1, 301)]
    heard = [AxisOptions().frames(window) for window in windows]
    assert all(a <= b for a, b in pairwise(heard))
    assert {WHOLE_AXIS.frames(window) for window in windows} == {3000}
