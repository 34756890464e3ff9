"""How Whisper's windows are shared out among its workers."""

from hypothesis import given
from hypothesis import strategies as st

from serving.engines.whisper import WhisperEngine, WhisperOptions


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
