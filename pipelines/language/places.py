"""Where in a section something was said, found by the words that it shares with the lines."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from pipelines.language.reading import SENTENCE_END, Line, moment

WORD = re.compile(r"[^\W_]+")
# Scripts that put no spaces between words: pairs of characters stand for words.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,}")
SHARED = 0.6
"""Weight of the words of a statement that a line must have, of all its words' weight. Words that
few lines have weigh more."""


class Places:
    """The lines of a section, to be asked for statements."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._having: defaultdict[str, list[int]] = defaultdict(list)
        for number, line in enumerate(lines):
            for word in set(words(line.text)):
                self._having[word].append(number)

    def find(self, statement: str) -> Line | None:
        """The line that says this, from the sentence on that says most of it.

        The first, where several do; None: none does clearly.
        """
        weights = {word: self._weight(word) for word in words(statement)}
        scores: defaultdict[int, float] = defaultdict(float)
        for word, weight in weights.items():
            for number in self._having.get(word, ()):
                scores[number] += weight
        best = max(scores, key=lambda number: (scores[number], -number), default=None)
        if best is None or scores[best] < SHARED * sum(weights.values()):
            return None
        return _from_sentence(self._lines[best], weights)

    def at(self, time: str) -> Line | None:
        """The line that is being said at a time such as `12:34`; None: there is no such."""
        seconds = moment(time)
        if seconds is None or not self._lines:
            return None
        # Clocks show whole seconds.
        begun = [line for line in self._lines if line.start < seconds + 1]
        if not begun or seconds > self._lines[-1].end:
            return None
        return begun[-1]

    def _weight(self, word: str) -> float:
        return math.log1p(len(self._lines) / (1 + len(self._having.get(word, ()))))


def _from_sentence(line: Line, weights: Mapping[str, float]) -> Line:
    edges = [0, *(found.end() for found in SENTENCE_END.finditer(line.text)), len(line.text)]
    starts = [start for start, end in pairwise(edges) if end > start]

    def weight(number: int) -> float:
        end = starts[number + 1] if number + 1 < len(starts) else len(line.text)
        said = set(words(line.text[starts[number] : end]))
        return sum(weights[word] for word in said & weights.keys())

    # The first of several that are alike.
    best = max(range(len(starts)), key=lambda number: (weight(number), -number))
    return line.cut(starts[best])[1] if starts[best] else line


def words(text: str) -> Iterator[str]:
    """What statements are compared by, in lower case."""
    for word in WORD.findall(text.casefold()):
        if UNSPACED.search(word):
            yield from (word[at : at + 2] for at in range(len(word) - 1))
        else:
            yield word
