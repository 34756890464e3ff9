"""Lines say everything once, with times that are true also after they were cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.language.base import Conversation, Utterance
from pipelines.language.reading import (
    LINE_SECONDS,
    Line,
    clipped,
    clock,
    halves,
    interval,
    lines_of,
    moment,
    tail,
)
from pipelines.language.speaker_data import shares, shown
from tests.fixtures.language import conversation

PROPERTY = settings(deadline=None, max_examples=60)
WORDS = st.lists(st.text("abcé漢字.!?。 ", min_size=1, max_size=30), min_size=1, max_size=8)
SAID = st.lists(
    st.tuples(st.sampled_from(["Anna", "SPEAKER_01", ""]), st.integers(0, 90), WORDS), max_size=20
)


def conversation_of(said) -> Conversation:
    utterances, now = [], 0.0
    for speaker, seconds, words in said:
        utterances.append(Utterance(speaker, now, now + seconds, " ".join(words)))
        now += seconds + 1
    return Conversation("title", now, "en", tuple(utterances))


def letters(texts) -> str:
    return "".join("".join(text.split()) for text in texts)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00"), (61.9, "01:01"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_clocks_have_hours_from_one_hour_on(seconds, text):
    assert clock(seconds) == text
    assert moment(f"[{text}] he said") == int(seconds)


def test_what_is_no_clock_has_no_moment():
    assert moment("at noon") is None
    assert moment("1:234") is None
    assert interval(5, 3700) == "[00:05] - [1:01:40]"


def test_utterances_of_one_speaker_are_one_line():
    lines = lines_of(
        conversation(("Anna", 0, 4, "One."), ("Anna", 5, 9, "Two."), ("Bob", 10, 12, "Three."))
    )
    assert [line.shown for line in lines] == ["Anna [00:00] One. Two.", "Bob [00:10] Three."]
    assert (lines[0].start, lines[0].end) == (0, 9)


def test_a_long_speech_shows_a_time_every_minute():
    said = [("Anna", 10.0 * i, 10.0 * i + 9, f"Sentence {i}.") for i in range(30)]
    lines = lines_of(conversation(*said))
    assert all(line.end - line.start <= LINE_SECONDS for line in lines)
    assert 5 <= len(lines) <= 6


@PROPERTY
@given(SAID)
def test_lines_have_everything_that_is_said_in_order(said):
    whole = conversation_of(said)
    lines = lines_of(whole)
    assert letters(line.text for line in lines) == letters(one.text for one in whole.utterances)
    assert all(line.start <= line.end for line in lines)


@PROPERTY
@given(st.text(min_size=2, max_size=80), st.floats(0, 100), st.floats(0, 50))
def test_halves_have_the_whole_text_and_time_between_them(text, start, length):
    text = " ".join(text.split())
    if len(text) < 2:
        return
    first, second = halves(Line("Anna", start, start + length, text))
    assert first.text
    assert second.text
    assert letters([first.text, second.text]) == letters([text])
    assert start <= first.end == second.start <= start + length


def test_lines_are_cut_between_sentences_then_words_then_characters():
    def cut(text):
        return [half.text for half in halves(Line("A", 0, 1, text))]

    assert cut("One two three. Four. Five.") == ["One two three.", "Four. Five."]
    assert cut("one two three four") == ["one two", "three four"]
    assert cut("一二三。四五") == ["一二三。", "四五"]
    assert cut("abcdef") == ["abc", "def"]
    with pytest.raises(ValueError, match="one character"):
        cut("a")


def test_times_within_a_line_are_those_of_its_utterances():
    said = [("Anna", 0, 2, "Short."), ("Anna", 30, 40, "This one comes later. And more.")]
    [line] = lines_of(conversation(*said))
    later = line.text.index("This")
    assert line.said_at(later) == 30
    head, rest = line.cut(later)
    assert (head.text, rest.text) == ("Short.", "This one comes later. And more.")
    assert (rest.start, rest.end) == (30, 40)
    assert 34 < rest.said_at(rest.text.index("And")) < 38


def test_a_tail_has_whole_lines_or_the_last_sentences_of_one():
    lines = [Line("A", 0, 1, "Yes."), Line("B", 1, 2, "First thing. Second thing.")]
    assert tail(lines, 1000) == tuple(lines)
    assert [line.text for line in tail(lines, 38)] == ["First thing. Second thing."]
    assert [line.text for line in tail(lines, 25)] == ["Second thing."]
    assert tail(lines, 10) == ()


@PROPERTY
@given(st.text(max_size=60), st.integers(0, 60))
def test_a_clipped_text_is_its_beginning(text, characters):
    short = clipped(text, characters)
    assert len(short) <= characters
    assert text.startswith(short)


def test_texts_are_clipped_after_sentences_if_they_can_be():
    assert clipped("One two. Three four. Five.", 22) == "One two. Three four."
    assert clipped("One two three four", 9) == "One two"


def test_shares_are_counted():
    said = [("Bob", 0, 30, "one two"), ("Anna", 30, 90, "three"), ("Anna", 90, 90, "four five")]
    anna, bob = shares(conversation(*said))
    assert (anna.speaker, anna.percentage, anna.words, anna.turns) == ("Anna", 66.7, 3, 1)
    assert (bob.speaker, bob.percentage, bob.words, bob.turns) == ("Bob", 33.3, 2, 1)


def test_a_small_context_is_shown_few_speakers():
    said = [(f"S{i}", i, i + 1.0, "word") for i in range(20)]
    assert shown(shares(conversation(*said)), 1024).endswith("; 16 others: 80 %")
    assert "others" not in shown(shares(conversation(*said)), 32768)


def test_nobody_speaks_in_no_time():
    [share] = shares(conversation(("Anna", 3, 3, "Hm.")))
    assert share.percentage == 0
