"""The Viterbi search finds what trying every path finds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.engines.ctc_viterbi import (
    ANYTHING,
    NO_WORD,
    best_path,
    build_chain,
    state_scores,
)

BLANK, SEPARATOR, A, B = 0, 1, 2, 3
WORDS = st.lists(st.lists(st.sampled_from([A, B]), min_size=1, max_size=2), min_size=1, max_size=3)


def collapsed(frames: tuple[int, ...]) -> tuple[int, ...]:
    """CTC's reading of frames: repeats are one, blanks are none."""
    return tuple(token for token, _ in itertools.groupby(frames) if token != BLANK)


def readings(words: list[list[int]]) -> set[tuple[int, ...]]:
    """The words with and without a separator at each border."""
    texts = {tuple(words[0])}
    for word in words[1:]:
        texts = {(*text, *border, *word) for text in texts for border in [(), (SEPARATOR,)]}
    return texts


def scores_of(seed: int, frames: int, tokens: int = 4) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 3, (frames, tokens))
    normal = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return np.asarray(normal, np.float32)


@settings(max_examples=60, deadline=None)
@given(WORDS, st.integers(1, 6), st.integers(0, 10_000))
def test_no_path_is_better(words, frames, seed):
    heard, wanted = scores_of(seed, frames), readings(words)
    totals = [
        heard[np.arange(frames), list(labels)].sum()
        for labels in itertools.product(range(4), repeat=frames)
        if collapsed(labels) in wanted
    ]
    chain = build_chain(words, BLANK, SEPARATOR)
    scores = state_scores(heard, chain)
    path = best_path(scores, chain)
    if not totals:
        assert path is None
        return
    assert path is not None
    assert collapsed(tuple(chain.tokens[path].tolist())) in wanted
    assert scores[np.arange(frames), path].sum() == pytest.approx(max(totals), abs=1e-4)


@settings(deadline=None)
@given(WORDS, st.integers(20, 40), st.integers(0, 10_000))
def test_words_come_in_order_and_none_is_left_out(words, frames, seed):
    chain = build_chain(words, BLANK, SEPARATOR)
    path = best_path(state_scores(scores_of(seed, frames), chain), chain)
    spoken = chain.words[path]
    spoken = spoken[spoken != NO_WORD]
    assert np.array_equal(np.unique(spoken), np.arange(len(words)))
    assert (np.diff(spoken) >= 0).all()


def test_anything_takes_the_sound_and_leaves_the_pauses():
    said = [BLANK, A, BLANK, BLANK, B, A, B, BLANK, BLANK, A, BLANK]
    heard = np.full((len(said), 4), np.log(1e-3), np.float32)
    heard[np.arange(len(said)), said] = np.log(0.997)
    chain = build_chain([[A], [ANYTHING], [A]], BLANK, SEPARATOR)
    path = best_path(state_scores(heard, chain), chain)
    assert np.flatnonzero(chain.words[path] == 1).tolist() == [4, 5, 6]


def test_words_without_tokens_get_no_frames():
    chain = build_chain([[], [A], [], [B], []], BLANK, SEPARATOR)
    assert chain.tokens.tolist() == [BLANK, A, BLANK, SEPARATOR, BLANK, B, BLANK]
    assert chain.words.tolist() == [-1, 1, -1, -1, -1, 3, -1]


def test_no_words_is_all_blank():
    chain = build_chain([[]], BLANK, SEPARATOR)
    path = best_path(state_scores(scores_of(1, 5), chain), chain)
    assert path is not None
    assert path.tolist() == [0] * 5
