"""Where a known token sequence lies in the output of a CTC model: Viterbi, vectorised over states.

Graves et al., "Connectionist Temporal Classification" (2006), with two additions: an optional
token between words, and a token that stands for anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ANYTHING = -1
"""A token that matches whatever the model hears, for words that nobody can pronounce."""

ANYTHING_PENALTY = 0.1
"""Log probability lost per frame by ANYTHING, so that a pause beside it is heard as a pause."""

NO_WORD = -1

MAX_STEP = 4
"""The furthest that a path moves in a frame: over blank, optional token, blank, to the next."""

Indices = npt.NDArray[np.intp]

LogProbs = npt.NDArray[np.float32]
"""Natural logarithms of probabilities, shape (frames, tokens)."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The states of a text in order: blank, token, blank, token, …, blank."""

    tokens: Indices
    """Token of each state."""
    words: Indices
    """Index of the word that each state belongs to, NO_WORD for blanks and separators."""
    steps: npt.NDArray[np.bool_]
    """Shape (MAX_STEP + 1, states): may a path enter state s from state s - k?"""


def build_chain(words: Sequence[Sequence[int]], blank: int, separator: int) -> Chain:
    """Chain the tokens of `words`, an optional `separator` between them; empty words are left out.

    Args:
        words: tokens of each word; ANYTHING is allowed.
        blank: CTC's blank.
        separator: a token that the model may say between two words.
    """
    tokens, owners = [blank], [NO_WORD]
    for index, word in enumerate(words):
        pairs = [(token, index) for token in word]
        if pairs and len(tokens) > 1:
            pairs.insert(0, (separator, NO_WORD))
        for token, owner in pairs:
            tokens += [token, blank]
            owners += [owner, NO_WORD]
    states = np.array(tokens)
    return Chain(states, np.array(owners), _steps(states, blank, separator))


def _steps(tokens: Indices, blank: int, separator: int) -> npt.NDArray[np.bool_]:
    """Which steps are allowed: stay, next, past a blank between unlike tokens, past a separator."""
    steps = np.zeros((MAX_STEP + 1, len(tokens)), dtype=bool)
    steps[0] = True
    steps[1, 1:] = True
    spoken = tokens != blank
    steps[2, 2:] = spoken[2:] & (tokens[2:] != tokens[:-2])
    after = np.flatnonzero(tokens == separator) + 2
    steps[3, after] = True
    steps[4, after] = tokens[after] != tokens[after - 4]
    return steps


def state_scores(heard: LogProbs, chain: Chain) -> LogProbs:
    """Log probability of every state in every frame, shape (frames, states)."""
    scores = heard[:, chain.tokens]
    anything = chain.tokens == ANYTHING
    scores[:, anything] = heard.max(axis=1, keepdims=True) - ANYTHING_PENALTY
    return scores


def best_path(scores: LogProbs, chain: Chain) -> Indices | None:
    """The state of each frame on the most probable path, or None: more tokens than frames."""
    frames, states = scores.shape
    allowed = np.where(chain.steps, 0.0, -np.inf)[::-1]
    # Row i of the view is the best score of state s - (MAX_STEP - i): all steps at once.
    best = np.full(states + MAX_STEP, -np.inf)
    entered_from = np.lib.stride_tricks.sliding_window_view(best, states)
    best[MAX_STEP : MAX_STEP + 2] = scores[0, :2]
    came = np.zeros((frames, states), dtype=np.int8)
    for frame in range(1, frames):
        candidates = entered_from + allowed
        rows = candidates.argmax(axis=0)
        came[frame] = MAX_STEP - rows
        best[MAX_STEP:] = np.take_along_axis(candidates, rows[None], 0)[0] + scores[frame]
    final = best[-2:] if states > 1 else best[-1:]
    state = states - len(final) + int(final.argmax())
    return _trace(came, state) if np.isfinite(final.max()) else None


def _trace(came: npt.NDArray[np.int8], state: int) -> Indices:
    """Follow the steps back from the last frame's state."""
    path = np.empty(len(came), dtype=np.intp)
    for frame in range(len(came) - 1, -1, -1):
        path[frame] = state
        state -= int(came[frame, state])
    return path
