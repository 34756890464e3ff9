"""When a window is heard again in halves, where it is divided, and which reading is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.decoding_guards import MAX_TOKENS, Decoding, GuardOptions
from serving.engines.omissions import OmissionOptions, fuller, halves, leaves_out
from serving.speech import SAMPLE_RATE, WindowRequest

OPTIONS, GUARDS = OmissionOptions(), GuardOptions()


def reading(tokens: int, logprob: float = -0.2, silence: float = 0.0, text: str = "") -> Decoding:
    return Decoding(tuple(range(tokens)), text or f"{tokens} tokens", logprob, silence)


def decode(tokens: list[int]) -> str:
    return f" {len(tokens)} of both"


@pytest.mark.parametrize(
    ("tokens", "speech_seconds", "expected"),
    [
        (11, 18.0, True),
        (0, 18.0, True),
        (60, 18.0, False),
        (11, None, False),
        (3, 4.0, False),
    ],
    ids=["a sentence of many", "nothing", "all of it", "speech not known", "a short window"],
)
def test_too_little_text_for_the_speech(tokens, speech_seconds, expected):
    assert leaves_out(reading(tokens), speech_seconds, OPTIONS) is expected


@given(st.integers(3 * SAMPLE_RATE, 30 * SAMPLE_RATE), st.integers(0, 2**32 - 1))
def test_halves_are_the_whole_divided_in_its_middle_third(samples, seed):
    audio = np.random.default_rng(seed).integers(-9000, 9000, samples, dtype=np.int16)
    first, second = halves(WindowRequest(audio, "de", "translate", speech_seconds=2.0))
    assert np.array_equal(np.concatenate([first.audio, second.audio]), audio)
    assert samples // 3 <= len(first.audio) <= samples - samples // 3
    for half in (first, second):
        assert (half.language, half.task) == ("de", "translate")
    assert first.speech_seconds + second.speech_seconds == pytest.approx(2.0)


@given(st.integers(6 * SAMPLE_RATE, 30 * SAMPLE_RATE), st.floats(0.35, 0.64))
def test_a_window_is_divided_in_its_pause(samples, place):
    audio = np.full(samples, 5000, np.int16)
    start = round(samples * place)
    audio[start : start + SAMPLE_RATE // 4] = 0
    first, _ = halves(WindowRequest(audio, "en"))
    assert start < len(first.audio) < start + SAMPLE_RATE // 4


def test_the_halves_are_kept_where_they_say_more():
    whole, parts = reading(11), [reading(50, -0.3, 0.2), reading(25, -0.6, 0.1)]
    kept = fuller(whole, parts, decode, OPTIONS, GUARDS)
    assert kept.tokens == parts[0].tokens + parts[1].tokens
    assert kept.text == "75 of both"
    assert kept.avg_logprob == pytest.approx(-0.4)
    assert kept.no_speech_prob == 0.1


@pytest.mark.parametrize(
    "parts",
    [
        [reading(6), reading(6)],
        [reading(0), reading(0)],
        [reading(50, -1.5), reading(40, -0.9, 0.8)],
        [reading(5), reading(90, text="and then I said " * 12)],
        [reading(MAX_TOKENS), reading(1)],
    ],
    ids=["a comma more", "nothing", "unsure, over silence", "a loop", "more than can be aligned"],
)
def test_else_the_window_as_it_was_read(parts):
    whole = reading(11)
    assert fuller(whole, parts, decode, OPTIONS, GUARDS) is whole


def test_a_doubtful_half_adds_nothing():
    kept = fuller(reading(5), [reading(30), reading(30, -1.5)], decode, OPTIONS, GUARDS)
    assert len(kept.tokens) == 30


def test_a_window_read_as_nothing_has_what_its_halves_have():
    silent = Decoding((), "", -0.5, 0.4)
    assert fuller(silent, [silent, reading(9)], decode, OPTIONS, GUARDS).tokens == reading(9).tokens
    assert fuller(silent, [silent, silent], decode, OPTIONS, GUARDS) is silent
