"""Edits of lines: words join to the text, times stay in order, and nothing is lost."""

import uuid
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.editing import (
    CERTAIN,
    MAX_LINE_CHARACTERS,
    Line,
    assign,
    merge,
    retext,
    split,
    spoken,
    tokens,
    word_at_character,
    word_at_time,
)
from pipelines.errors import EditRefused
from pipelines.stages.attribute import joined
from serving.speech import Doubt, Segment, Word

NEW = uuid.UUID(int=99)
speakers = st.sampled_from([None, "SPEAKER_00", "SPEAKER_01"])
texts = st.one_of(
    st.lists(
        st.sampled_from(
            ["a", "b", "no.", "yes,", "你好", "世界。", "「はい」", "R&D", "¿qué?", "한국어"]
        ),
        min_size=1,
    ).map(" ".join),
    st.text(min_size=1, max_size=40).filter(lambda text: text.split()),
)


def made(*words: tuple[float, float, str], speaker="SPEAKER_00", **more) -> Line:
    said = tuple(Word(start, end, text, 0.5, speaker) for start, end, text in words)
    text = joined([word.word for word in said])
    return Line(
        uuid.uuid4(), Segment(said[0].start, said[-1].end, text, said, speaker=speaker, **more)
    )


def hello() -> Line:
    return made((0.0, 0.4, "good"), (0.5, 0.9, "morning"), (1.0, 1.2, "to"), (1.3, 1.6, "all"))


def words_of(line: Line) -> list[str]:
    return [word.word for word in line.segment.words]


def times_of(line: Line) -> list[tuple[float, float]]:
    return [(word.start, word.end) for word in line.segment.words]


@st.composite
def lines(draw, start: float = 0.0) -> Line:
    """A line as the pipeline makes them: one speaker, words one after the other."""
    speaker = draw(speakers)
    said = []
    for text in tokens(draw(texts)):
        start += draw(st.floats(0, 3))
        end = start + draw(st.floats(0, 2))
        said.append(Word(start, end, text, draw(st.floats(0, 1)), speaker))
        start = end
    doubt = draw(st.sampled_from([None, *Doubt]))
    text = joined([word.word for word in said])
    segment = Segment(said[0].start, said[-1].end, text, tuple(said), speaker=speaker, doubt=doubt)
    return Line(draw(st.uuids()), segment)


@st.composite
def transcripts(draw) -> list[Line]:
    made: list[Line] = []
    for _ in range(draw(st.integers(1, 5))):
        made.append(draw(lines(made[-1].segment.end if made else 0.0)))
    return made


def check(line: Line) -> None:
    segment = line.segment
    assert joined([word.word for word in segment.words]) == segment.text
    assert segment.start <= segment.end
    for word in segment.words:
        assert word.word
        assert segment.start <= word.start <= word.end <= segment.end
    starts = [word.start for word in segment.words]
    assert starts == sorted(starts)


@given(st.data(), transcripts())
def test_any_edits_one_after_the_other(data, transcript):
    """What the API does to rows, on a list."""
    start, end = transcript[0].segment.start, transcript[-1].segment.end
    written: list[str] | None = None
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, len(transcript) - 1))
        line = transcript[at]
        before = " ".join(line.segment.text for line in transcript)
        match data.draw(st.sampled_from(["text", "speaker", "split", "merge"])):
            case "text":
                transcript[at] = retext(line, data.draw(texts))
                assert transcript[at].segment.doubt is None
                written = words_of(transcript[at])
            case "speaker":
                transcript[at] = assign(line, data.draw(speakers))
            case "split" if len(line.segment.words) > 1:
                word = data.draw(st.integers(1, len(line.segment.words) - 1))
                transcript[at : at + 1] = split(line, word, data.draw(st.uuids()))
            case "merge" if at + 1 < len(transcript):
                end_at = data.draw(st.integers(at + 2, len(transcript)))
                transcript[at:end_at] = [merge(transcript[at:end_at])]
            case _:
                continue
        if written is None:
            after = " ".join(line.segment.text for line in transcript)
            assert "".join(after.split()) == "".join(before.split())
        written = None
        for line in transcript:
            check(line)
        for one, other in pairwise(transcript):
            assert one.segment.start <= one.segment.end <= other.segment.start
        assert (transcript[0].segment.start, transcript[-1].segment.end) == (start, end)


@given(st.data(), lines())
def test_what_is_split_and_merged_is_as_it_was(data, line):
    count = len(line.segment.words)
    if count < 2:
        return
    parts = split(line, data.draw(st.integers(1, count - 1)), NEW)
    assert [part.id for part in parts] == [line.id, NEW]
    assert replace(merge(parts), edited=line.edited) == line


@given(st.lists(lines(), min_size=2, max_size=4))
def test_what_is_merged_says_whose_word_is_whose(several):
    merged = merge(several)
    said = [word for line in several for word in line.segment.words]
    assert list(merged.segment.words) == said


@given(lines(), texts)
def test_text_is_what_was_sent_but_for_blanks(line, text):
    changed = retext(line, text)
    assert "".join(changed.segment.text.split()) == "".join(text.split())
    assert retext(changed, changed.segment.text) == changed


@given(lines())
def test_the_same_text_changes_nothing_but_the_doubt(line):
    confirmed = retext(line, line.segment.text)
    assert confirmed.segment == replace(line.segment, doubt=None)
    assert confirmed.edited == (line.segment.doubt is not None)


@given(texts)
def test_words_join_to_their_text_again(text):
    once = joined(tokens(text))
    assert joined(tokens(once)) == once


class TestText:
    def test_words_that_stay_keep_their_times(self):
        changed = retext(hello(), "Good morning to you all")
        assert words_of(changed) == ["Good", "morning", "to", "you", "all"]
        assert times_of(changed) == [(0.0, 0.4), (0.5, 0.9), (1.0, 1.2), (1.2, 1.3), (1.3, 1.6)]
        assert [word.probability for word in changed.segment.words] == [
            CERTAIN, 0.5, 0.5, CERTAIN, 0.5,
        ]  # fmt: skip
        assert {word.speaker for word in changed.segment.words} == {"SPEAKER_00"}
        assert changed.edited

    def test_words_that_replace_others_share_their_time(self):
        changed = retext(made((0, 1, "I'm"), (1, 2, "gonna"), (2, 3, "go")), "I'm going to go")
        assert words_of(changed) == ["I'm", "going", "to", "go"]
        assert times_of(changed)[1:3] == [
            (1, pytest.approx(1 + 5 / 7)),
            (pytest.approx(1 + 5 / 7), 2),
        ]

    def test_words_that_go_leave_a_pause(self):
        changed = retext(hello(), "good all")
        assert times_of(changed) == [(0.0, 0.4), (1.3, 1.6)]
        assert (changed.segment.start, changed.segment.end) == (0.0, 1.6)

    def test_words_behind_the_last_one_and_before_the_first_have_what_is_left(self):
        line = made((1, 2, "yes"))
        line = replace(line, segment=replace(line.segment, start=0.5, end=3))
        changed = retext(line, "oh yes please")
        assert times_of(changed) == [(0.5, 1), (1, 2), (2, 3)]

    def test_a_line_without_words_gets_some(self):
        line = Line(NEW, Segment(0, 10, "Thanks for watching!", doubt=Doubt.no_speech))
        changed = retext(line, "ten digits")
        assert words_of(changed) == ["ten", "digits"]
        assert times_of(changed) == [(0, pytest.approx(10 / 3)), (pytest.approx(10 / 3), 10)]
        assert changed.segment.doubt is None

    def test_characters_of_a_script_without_spaces_keep_their_times(self):
        line = made((0, 1, "你好"), (1, 2, "世界。"))
        changed = retext(line, "你们好世界。")
        assert changed.segment.text == "你们好世界。"
        assert words_of(changed) == ["你", "们", "好", "世", "界。"]
        assert times_of(changed)[0] == (0, 0.5)
        assert times_of(changed)[2] == (0.5, 1)

    def test_new_words_in_a_line_of_two_voices_go_with_their_neighbours(self):
        line = merge([made((0, 1, "yes")), made((1, 2, "no"), speaker="SPEAKER_01")])
        changed = retext(line, "yes indeed no")
        assert [word.speaker for word in changed.segment.words] == [
            "SPEAKER_00",
            "SPEAKER_00",
            "SPEAKER_01",
        ]

    @pytest.mark.parametrize("text", ["", " ", "\t\n", "\u3000"])
    def test_no_text_is_refused(self, text):
        with pytest.raises(EditRefused, match="empty"):
            retext(hello(), text)


class TestSplit:
    def test_times_and_words_go_with_their_part(self):
        first, second = split(hello(), 2, NEW)
        assert (first.segment.text, second.segment.text) == ("good morning", "to all")
        assert (first.segment.start, first.segment.end) == (0.0, 0.9)
        assert (second.segment.start, second.segment.end) == (1.0, 1.6)

    @pytest.mark.parametrize("at", [-1, 0, 4, 10**9])
    def test_no_part_is_empty(self, at):
        with pytest.raises(EditRefused, match="word 1 to 3"):
            split(hello(), at, NEW)

    def test_one_word_cannot_be_split(self):
        with pytest.raises(EditRefused, match="one word"):
            split(made((0, 1, "no")), 1, NEW)

    def test_a_line_without_words_is_split_too(self):
        parts = split(Line(NEW, Segment(0, 9, "ab cd ef")), 1, NEW)
        assert [part.segment.text for part in parts] == ["ab", "cd ef"]
        assert parts[0].segment.end == parts[1].segment.start == 3

    def test_each_part_is_whose_words_it_has(self):
        whole = merge([made((0, 1, "yes")), made((1, 3, "no"), speaker="SPEAKER_01")])
        assert whole.segment.speaker == "SPEAKER_01"
        parts = split(whole, 1, NEW)
        assert [part.segment.speaker for part in parts] == ["SPEAKER_00", "SPEAKER_01"]

    @pytest.mark.parametrize(
        ("position", "word"), [(0, 0), (1, 1), (5, 1), (6, 2), (12, 2), (13, 2), (14, 3), (99, 4)]
    )
    def test_a_place_in_the_text(self, position, word):
        # good morning to all: words begin at 0, 5, 13 and 16.
        assert word_at_character(hello().segment, position) == word

    @pytest.mark.parametrize(
        ("seconds", "word"), [(0, 0), (0.2, 0), (0.3, 1), (0.95, 2), (1.45, 3), (1.5, 4), (1e9, 4)]
    )
    def test_a_moment(self, seconds, word):
        assert word_at_time(hello().segment, seconds) == word

    def test_a_place_in_text_without_spaces(self):
        segment = made((0, 1, "你好"), (1, 2, "世界"), (2, 3, "OK")).segment
        assert segment.text == "你好世界 OK"
        assert [word_at_character(segment, at) for at in range(6)] == [0, 1, 1, 2, 2, 2]


class TestMerge:
    def test_the_worst_of_each(self):
        one = made((0, 1, "a"), avg_logprob=-0.1, no_speech_prob=0.1)
        other = made((1, 2, "b"), avg_logprob=-2.0, no_speech_prob=0.9, doubt=Doubt.low_confidence)
        merged = merge([one, other]).segment
        assert (merged.avg_logprob, merged.no_speech_prob) == (-2.0, 0.9)
        assert merged.doubt is Doubt.low_confidence

    def test_an_empty_line_vanishes_in_another(self):
        merged = merge([Line(NEW, Segment(0, 1, "", doubt=Doubt.unreadable)), made((1, 2, "b"))])
        assert (merged.segment.text, merged.segment.start, merged.id) == ("b", 0, NEW)

    def test_it_takes_two(self):
        with pytest.raises(EditRefused, match="two"):
            merge([hello()])

    def test_no_line_grows_without_end(self):
        long = made((0, 1, "x" * (MAX_LINE_CHARACTERS // 2)))
        assert len(merge([long, long]).segment.text) == MAX_LINE_CHARACTERS + 1
        with pytest.raises(EditRefused, match="at most 10000"):
            merge([long, long, hello()])


def test_a_speaker_is_that_of_every_word():
    changed = assign(hello(), "SPEAKER_07")
    assert {word.speaker for word in changed.segment.words} == {"SPEAKER_07"}
    assert assign(changed, "SPEAKER_07") is changed
    assert {word.speaker for word in assign(changed, None).segment.words} == {None}


def test_the_longest_line_is_edited_although_nothing_of_it_stays():
    words = tuple(Word(n, n + 1, "ab"[n % 2], 1) for n in range(5000))
    line = Line(NEW, Segment(0, 5000, joined([word.word for word in words]), words))
    changed = retext(line, " ".join("bca"[n % 3] for n in range(5000)))
    check(changed)
    assert len(spoken(changed.segment)) == 5000
