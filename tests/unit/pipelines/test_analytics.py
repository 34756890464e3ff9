"""Figures about conversations: cases counted by hand, and what holds for all of them."""

# ruff: noqa: RUF001 - question marks of several scripts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.analytics import NOBODY, SpokenLine, count_questions, figures
from serving.speech import SpeakerTurn

moments = st.integers(0, 100_000).map(lambda tenths: tenths / 10)
names = st.sampled_from(["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"])


def spans(made, speakers):
    return st.builds(
        lambda start, length, *rest: made(start, start + length, *rest),
        moments,
        st.integers(0, 300).map(lambda tenths: tenths / 10),
        *speakers,
    )


sentences = st.sampled_from(["yes", "Is it so?", "no. really?! oh", "好吗？好", "a?b=c", ""])
conversations = st.lists(spans(SpokenLine, [sentences, names | st.none()]), max_size=12)
heard = st.lists(spans(SpeakerTurn, [names]), max_size=10)

A, B = "SPEAKER_00", "SPEAKER_01"


def talk() -> list[SpokenLine]:
    """A speaks 0-4 and 4-6, B answers 7-9, A 8.5-12, silence, B 30-31, A 31.5-33.5."""
    return [
        SpokenLine(0, 4, "One two three four?", A),
        SpokenLine(4, 6, "Five six.", A),
        SpokenLine(7, 9, "Yes. Why? How?", B),
        SpokenLine(8.5, 12, "Because.", A),
        SpokenLine(30, 31, "So.", B),
        SpokenLine(31.5, 33.5, "Good bye.", A),
    ]


def turns() -> list[SpeakerTurn]:
    return [
        SpeakerTurn(0, 6, A),
        SpeakerTurn(7, 9, B),
        SpeakerTurn(8.5, 12, A),  # 0.5 s before B ends: an interruption
        SpeakerTurn(11.9, 13, B),  # 0.1 s: not
        SpeakerTurn(30, 31, B),
    ]


class TestByHand:
    @pytest.fixture
    def found(self):
        return figures(talk(), turns(), 40.0)

    def test_talk_time_words_and_pace(self, found):
        assert found["talk_time"] == {"by_speaker": {A: 11.5, B: 3.0}, "total": 14.5}
        assert found["words"] == {"by_speaker": {A: 9, B: 4}, "total": 13}
        assert found["word_count"] == 13
        assert found["speaking_pace"]["by_speaker"][B] == 80
        assert found["speaking_pace"]["overall"] == pytest.approx(13 / 14.5 * 60, abs=1e-3)

    def test_turns_are_not_segments(self, found):
        assert found["turn_taking"] == {"by_speaker": {A: 3, B: 2}, "total": 5}

    def test_interruptions_are_charged_to_who_begins(self, found):
        assert found["interruptions"] == {"by_speaker": {A: 1, B: 0}, "total": 1}
        assert found["overlap_seconds"] == pytest.approx(0.6)

    def test_questions(self, found):
        assert found["questions"] == {"by_speaker": {A: 1, B: 2}, "total": 3}

    def test_the_longest_monologue_is_a_turn(self, found):
        longest = found["longest_monologue"]
        assert longest["speaker"] == A
        assert longest["by_speaker"][A] == {"start": 0, "end": 6, "seconds": 6}
        assert longest["by_speaker"][B] == {"start": 7, "end": 9, "seconds": 2}

    def test_answers_come_after_the_end_and_soon(self, found):
        # B after 1 s, A before B's end, B after 18 s, A after 0.5 s.
        assert found["response_latency"] == {
            "by_speaker": {A: 0.5, B: 1.0},
            "overall": 0.75,
            "answers": 2,
        }

    def test_silence_is_where_nobody_speaks(self, found):
        # Speech: 0-6, 7-12, 30-31, 31.5-33.5.
        assert found["silence_ratio"] == pytest.approx(1 - 14 / 40)
        assert found["duration_seconds"] == 40


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ([SpeakerTurn(9.8, 12, B)], 1),  # 0.2 s, though 10 - 9.8 is a little less in floats
        ([SpeakerTurn(9.81, 12, B)], 0),
        ([SpeakerTurn(0, 12, B)], 0),  # both begin at once
        ([SpeakerTurn(2, 3, B), SpeakerTurn(4, 5, B)], 2),
        ([SpeakerTurn(2, 3, B), SpeakerTurn(2.5, 5, B)], 1),  # one turn of B in two pieces
        ([SpeakerTurn(2, 3, B), SpeakerTurn(2.5, 5, "SPEAKER_02")], 2),
        ([SpeakerTurn(10, 12, B)], 0),
    ],
)
def test_what_counts_as_an_interruption(others, count):
    found = figures([], [SpeakerTurn(0, 10, A), *others], 20)
    assert found["interruptions"]["total"] == count


def test_three_at_once_overlap_once():
    heard = [SpeakerTurn(0, 10, A), SpeakerTurn(2, 6, B), SpeakerTurn(4, 8, "SPEAKER_02")]
    assert figures([], heard, 20)["overlap_seconds"] == 6


@pytest.mark.parametrize(
    ("text", "language", "count"),
    [
        ("Really?", None, 1),
        ("Really?? Yes!", None, 1),
        ("What?! No way!", None, 1),
        ("He asked “why?” and left.", None, 1),
        ("(Why?)", None, 1),
        ("See https://example.org/?q=1 for more.", None, 0),
        ("你好吗？我很好。真的？", "zh", 2),
        ("هل أنت بخير؟ نعم", "ar", 1),
        ("Τι κάνεις\u037e Καλά.", "el", 1),
        ("Τι κάνεις; Καλά.", "el", 1),
        ("He left; she stayed.", "en", 0),
        ("Τι κάνεις;! Καλά.", "el", 1),
        ("? ?", None, 2),
        ("??？a", None, 1),
        ("", None, 0),
    ],
)
def test_questions_end_with_a_mark(text, language, count):
    assert count_questions(text, language) == count


@pytest.mark.parametrize("language", [None, "el"])
def test_a_long_run_of_marks_is_looked_at_once(language):
    """From each mark to the end of the run, this would take some ten minutes."""
    run = "?" * 200_000
    assert count_questions(f"{run}a", language) == 0
    assert count_questions(f"{run}a {run}", language) == 1


def test_nobody_known():
    found = figures([SpokenLine(1, 3, "Hello there."), SpokenLine(4, 5, "Bye.")], None, 10)
    assert found["talk_time"] == {"by_speaker": {NOBODY: 3.0}, "total": 3.0}
    assert found["turn_taking"]["total"] == 1
    assert found["interruptions"] is None
    assert found["overlap_seconds"] is None


def test_nothing_said():
    found = figures([], [], 10.0)
    assert found["silence_ratio"] == 1
    assert found["word_count"] == 0
    assert found["interruptions"] == {"by_speaker": {}, "total": 0}
    assert found["longest_monologue"] == {"by_speaker": {}, "speaker": None}
    assert found["response_latency"]["overall"] is None
    assert figures([], None, None)["silence_ratio"] is None


def test_words_of_scripts_without_spaces_are_characters():
    assert figures([SpokenLine(0, 1, "你好，世界。 OK")], None, 1)["word_count"] == 5


@given(conversations, heard, moments)
def test_what_holds_for_every_conversation(lines, turns, duration):
    found = figures(lines, turns, duration)
    for figure in ("words", "questions", "turn_taking", "talk_time", "interruptions"):
        parts = found[figure]["by_speaker"].values()
        assert sum(parts) == pytest.approx(found[figure]["total"])
        assert all(part >= 0 for part in parts)
    assert found["silence_ratio"] is None or 0 <= found["silence_ratio"] <= 1
    assert found["turn_taking"]["total"] <= len(lines)
    assert found["interruptions"]["total"] <= len(turns)
    assert 0 <= found["overlap_seconds"] <= sum(turn.end - turn.start for turn in turns) + 1e-6
    for latency in found["response_latency"]["by_speaker"].values():
        assert latency is None or 0 <= latency <= 10


def test_figures_are_of_milliseconds():
    lines = [SpokenLine(n / 10, n / 10 + 0.1, "a", A) for n in range(3)]
    assert figures(lines, None, 1)["talk_time"] == {"by_speaker": {A: 0.3}, "total": 0.3}


@given(conversations, heard)
def test_other_labels_change_nothing_else(lines, turns):
    other = {A: "SPEAKER_02", B: A, "SPEAKER_02": B, None: None}

    def renamed(figure):
        if not isinstance(figure, dict):
            return other.get(figure, figure)
        return {
            name: {other.get(k, k): renamed(v) for k, v in value.items()}
            if name == "by_speaker"
            else renamed(value)
            for name, value in figure.items()
        }

    before = figures(lines, turns, 100.0)
    after = figures(
        [SpokenLine(x.start, x.end, x.text, other[x.speaker]) for x in lines],
        [SpeakerTurn(x.start, x.end, other[x.speaker]) for x in turns],
        100.0,
    )
    # Of equally long monologues the first label's is named.
    before["longest_monologue"].pop("speaker")
    after["longest_monologue"].pop("speaker")
    assert _close(after, renamed(before))


def _close(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[k], other[k]) for k in one)
    return one == other if one is None or isinstance(one, str) else one == pytest.approx(other)


@given(heard)
def test_overlaps_counted_tenth_by_tenth(turns):
    overlap = 0
    for tenth in range(int(max((turn.end for turn in turns), default=0) * 10) + 1):
        middle = tenth / 10 + 0.05
        speaking = {turn.speaker for turn in turns if turn.start <= middle < turn.end}
        overlap += len(speaking) > 1
    assert figures([], turns, 1)["overlap_seconds"] == pytest.approx(overlap / 10, abs=1e-6)
