"""What counts as doubtful, how long a window may take, and what happens when memory runs out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.decoding_guards import (
    MAX_TOKENS,
    Decoding,
    GuardOptions,
    find_doubt,
    most_likely,
    token_limit,
)
from serving.engines.memory import within_memory
from serving.errors import OutOfMemory
from serving.speech import Doubt

OPTIONS = GuardOptions()


def reading(text: str = "a plain sentence", logprob: float = -0.2, silence: float = 0.01):
    return Decoding((1, 2, 3), text, logprob, silence)


@pytest.mark.parametrize(
    ("decoding", "speech_seconds", "doubt"),
    [
        (reading(), None, None),
        (reading(), 3.0, None),
        (reading("and then I said " * 12), 20.0, Doubt.repetition),
        (reading(logprob=-1.2), 3.0, Doubt.low_confidence),
        (reading(logprob=-1.2, silence=0.7), 3.0, Doubt.no_speech),
        (reading(silence=0.7), 3.0, None),
        (reading("you", silence=0.95), None, Doubt.no_speech),
        (reading("Thank you."), 0.0, Doubt.no_speech),
        (reading("", logprob=-3.0, silence=0.99), 0.0, None),
    ],
    ids=[
        "plain", "plain, speech heard", "loop", "unsure", "unsure over silence",
        "sure over a pause", "text over certain silence", "no speech heard", "no text",
    ],
)  # fmt: skip
def test_doubt(decoding, speech_seconds, doubt):
    assert find_doubt(decoding, speech_seconds, OPTIONS) is doubt


@given(st.floats(0, 30), st.floats(0, 30))
def test_longer_windows_may_take_more_tokens(a, b):
    short, long = sorted([a, b])
    assert 0 < token_limit(short) <= token_limit(long) <= MAX_TOKENS


def test_there_are_three_limits_so_that_batches_fill():
    limits = {token_limit(tenth / 10) for tenth in range(301)}
    assert limits == {95, 160, 225}


def test_the_reading_kept_does_not_repeat_itself():
    loop, weak, weaker = reading("no " * 90, -0.1), reading(logprob=-1.1), reading(logprob=-2)
    assert most_likely([loop, weaker, weak], OPTIONS) is weak
    assert most_likely([loop], OPTIONS) is loop


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 30))
def test_out_of_memory_halves_the_batch_and_names_the_window(sizes, memory):
    def run(batch):
        if sum(batch) > memory:
            raise RuntimeError("CUDA failed with error out of memory")
        return [f"done {size}" for size in batch]

    for size, answer in zip(sizes, within_memory(run, sizes), strict=True):
        if size > memory:
            assert isinstance(answer, OutOfMemory)
        else:
            assert answer == f"done {size}"


def test_other_errors_are_not_swallowed():
    def run(_batch):
        raise RuntimeError("cuBLAS failed")

    with pytest.raises(RuntimeError, match="cuBLAS"):
        within_memory(run, [1, 2])
