"""Figures about a conversation, from its lines and speaker turns. Pure, vectorised.

Lines say what was said and by whom, edits included; turns are what diarization heard: only they
know when people speak at the same time.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.editing import tokens
from serving.speech import SpeakerTurn

SCHEMA_VERSION = "1"
"""Of these definitions: what was computed by others is computed anew."""

NOBODY = "unknown"
"""Stands for who says lines without a speaker: all of them, where diarization is off."""

MIN_INTERRUPTION_SECONDS = 0.2
"""Less is a slip of the turn boundaries, or people who take turns without a pause."""
MAX_RESPONSE_SECONDS = 10.0
"""Who speaks after a longer silence begins anew rather than answers."""

# Whole runs, each found once: a pattern that also looks for the question within a run tries again
# from each of its marks, which takes the square of their number.
MARKS = re.compile(r"[!?…！？؟\u037e]+")  # noqa: RUF001
# `;` is what keyboards and Unicode's composed form have instead of U+037E.
GREEK_MARKS = re.compile(r"[!?…！？؟\u037e;]+")  # noqa: RUF001
ALWAYS_ASK = frozenset("？؟")  # noqa: RUF001
# Where these must end something: `a?b=c` asks nothing.
ASK_AT_THE_END = frozenset("?\u037e;")
CLOSED = re.compile(r"[\"'”’)\]»]*(?:\s|$)")  # noqa: RUF001

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """What is counted of a segment."""

    start: float
    end: float
    text: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines as columns, ordered by their starts; `who` are places in `names`."""

    start: Floats
    end: Floats
    who: Ints
    words: Ints
    questions: Ints
    names: tuple[str, ...]

    def by_speaker(self, values: npt.NDArray[Any]) -> dict[str, Any]:
        """Sums of a value per line."""
        sums = np.zeros(len(self.names), values.dtype)
        np.add.at(sums, self.who, values)
        return {n: _rounded(value) for n, value in zip(self.names, sums.tolist(), strict=True)}


@dataclass(frozen=True, slots=True)
class _Runs:
    """Lines of the same speaker that follow each other: what one says before another does."""

    start: Floats
    end: Floats
    who: Ints


def figures(
    lines: Sequence[SpokenLine],
    turns: Sequence[SpeakerTurn] | None,
    duration: float | None,
    language: str | None = None,
) -> dict[str, Any]:
    """All figures, as `analytics.figures` keeps them.

    `turns` are None where nobody looked for speakers; then what needs them is None.
    """
    table = _table(lines, language)
    runs = _runs(table)
    talk = table.by_speaker(table.end - table.start)
    words = table.by_speaker(table.words)
    total = sum(talk.values())
    spoken = _union(table.start, table.end)
    last = float(table.end.max(initial=0.0))
    length = last if duration is None else duration
    made = {
        "word_count": sum(words.values()),
        "duration_seconds": length,
        "talk_time": {"by_speaker": talk, "total": total},
        "words": {"by_speaker": words, "total": sum(words.values())},
        "speaking_pace": {
            "by_speaker": {name: _pace(words[name], talk[name]) for name in table.names},
            "overall": _pace(sum(words.values()), total),
        },
        "turn_taking": _counted(np.bincount(runs.who, minlength=len(table.names)), table.names),
        "questions": {
            "by_speaker": table.by_speaker(table.questions),
            "total": int(table.questions.sum()),
        },
        "longest_monologue": _longest(runs, table.names),
        "response_latency": _latency(runs, table.names),
        "silence_ratio": min(1.0, max(0.0, 1 - spoken / length)) if length > 0 else None,
        **_together(turns),
    }
    return {name: _rounded(figure) for name, figure in made.items()}


def _rounded(figure: Any) -> Any:
    """Times are milliseconds: what sums have behind them is noise."""
    if isinstance(figure, dict):
        return {name: _rounded(value) for name, value in figure.items()}
    return round(figure, 3) if isinstance(figure, float) else figure


def count_questions(text: str, language: str | None = None) -> int:
    """How many sentences of a text are questions."""
    marks = GREEK_MARKS if language == "el" else MARKS
    return sum(_asks(text, run) for run in marks.finditer(text))


def _asks(text: str, run: re.Match[str]) -> bool:
    """Whether a sentence that ends with these marks is a question."""
    marks = set(run[0])
    if marks & ALWAYS_ASK:
        return True
    return bool(marks & ASK_AT_THE_END) and CLOSED.match(text, run.end()) is not None


def _table(lines: Sequence[SpokenLine], language: str | None) -> _Lines:
    ordered = sorted(lines, key=lambda line: (line.start, line.end))
    names = tuple(sorted({line.speaker or NOBODY for line in ordered}))
    places = {name: place for place, name in enumerate(names)}
    return _Lines(
        start=np.array([line.start for line in ordered], np.float64),
        end=np.array([max(line.start, line.end) for line in ordered], np.float64),
        who=np.array([places[line.speaker or NOBODY] for line in ordered], np.int64),
        words=np.array([len(tokens(line.text)) for line in ordered], np.int64),
        questions=np.array([count_questions(line.text, language) for line in ordered], np.int64),
        names=names,
    )


def _counted(counts: Ints, names: Sequence[str]) -> dict[str, Any]:
    by_speaker = dict(zip(names, counts.tolist(), strict=True))
    return {"by_speaker": by_speaker, "total": int(counts.sum())}


def _pace(words: int, seconds: float) -> float | None:
    """Words a minute."""
    return 60 * words / seconds if seconds > 0 else None


def _union(start: Floats, end: Floats) -> float:
    """How long at least one of the intervals lasts; they are ordered by their starts."""
    if not start.size:
        return 0.0
    reached = np.maximum.accumulate(end)
    gaps = np.maximum(0.0, start[1:] - reached[:-1])
    return float(reached[-1] - start[0] - gaps.sum())


def _runs(table: _Lines) -> _Runs:
    if not table.who.size:
        return _Runs(table.start, table.end, table.who)
    first = np.flatnonzero(np.diff(table.who, prepend=-1))
    return _Runs(table.start[first], np.maximum.reduceat(table.end, first), table.who[first])


def _longest(runs: _Runs, names: Sequence[str]) -> dict[str, Any]:
    seconds = runs.end - runs.start
    longest: dict[str, Any] = {}
    for place, name in enumerate(names):
        mine = np.flatnonzero(runs.who == place)
        at = mine[seconds[mine].argmax()]
        longest[name] = {
            "start": float(runs.start[at]),
            "end": float(runs.end[at]),
            "seconds": float(seconds[at]),
        }
    top = max(longest, key=lambda name: longest[name]["seconds"], default=None)
    return {"by_speaker": longest, "speaker": top}


def _latency(runs: _Runs, names: Sequence[str]) -> dict[str, Any]:
    """Medians of the silence before somebody answers somebody else."""
    gaps = runs.start[1:] - np.maximum.accumulate(runs.end)[:-1]
    answers = (gaps >= 0) & (gaps <= MAX_RESPONSE_SECONDS)
    gaps, who = gaps[answers], runs.who[1:][answers]
    by_speaker = {name: _median(gaps[who == place]) for place, name in enumerate(names)}
    return {"by_speaker": by_speaker, "overall": _median(gaps), "answers": int(gaps.size)}


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if values.size else None


def _together(turns: Sequence[SpeakerTurn] | None) -> Mapping[str, Any]:
    """What is heard of people who speak at the same time."""
    if turns is None:
        return {"interruptions": None, "overlap_seconds": None}
    names = sorted({turn.speaker for turn in turns})
    joined = [_joined(turn for turn in turns if turn.speaker == name) for name in names]
    sizes = np.array([len(start) for start, _ in joined], np.int64)
    who = np.repeat(np.arange(len(names)), sizes)
    start = np.concatenate([start for start, _ in joined] or [np.empty(0)])
    end = np.concatenate([end for _, end in joined] or [np.empty(0)])
    order = np.lexsort((end, start))
    start, end, who = start[order], end[order], who[order]
    counts = np.bincount(who[_interrupts(start, end, who, len(names))], minlength=len(names))
    return {"interruptions": _counted(counts, names), "overlap_seconds": _overlap(start, end)}


def _joined(turns: Iterable[SpeakerTurn]) -> tuple[Floats, Floats]:
    """One speaker's turns without overlaps among themselves."""
    table = np.array(sorted((t.start, max(t.start, t.end)) for t in turns), np.float64)
    start, reached = table[:, 0], np.maximum.accumulate(table[:, 1])
    first = np.flatnonzero(np.concatenate([[True], start[1:] > reached[:-1]]))
    return start[first], reached[np.append(first[1:] - 1, len(start) - 1)]


def _interrupts(start: Floats, end: Floats, who: Ints, count: int) -> npt.NDArray[np.bool_]:
    """Which turns begin while somebody else speaks on for as long as an interruption takes."""
    found = np.zeros(start.size, bool)
    for place in range(count):
        mine = np.flatnonzero(who == place)
        others = who != place
        reached = np.maximum.accumulate(np.where(others, end, -np.inf))
        # Those who begin at the same moment interrupt nobody.
        before = np.searchsorted(start, start[mine]) - 1
        spoken_to = np.where(before >= 0, reached[before], -np.inf)
        # Times are milliseconds: their difference is not exact.
        found[mine] = spoken_to - start[mine] > MIN_INTERRUPTION_SECONDS - 1e-6
    return found


def _overlap(start: Floats, end: Floats) -> float:
    """How long two or more speak; nobody overlaps themselves in these turns."""
    moments = np.concatenate([start, end])
    steps = np.concatenate([np.ones(start.size), -np.ones(end.size)])
    order = np.argsort(moments, kind="stable")
    speaking = np.cumsum(steps[order])[:-1]
    return float(np.diff(moments[order])[speaking >= 2].sum())
