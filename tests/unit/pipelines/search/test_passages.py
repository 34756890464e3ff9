"""Transcripts cut into passages."""

import uuid
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.search.passages import Line, Passage, cut, passage_id, words_in

ADA, BOB = uuid.UUID(int=1), uuid.UUID(int=2)
NAMES = {ADA: "Ada", BOB: "Bob", None: ""}
FILE = uuid.UUID(int=7)


def line(words: int, start: float = 0.0, who: uuid.UUID | None = ADA, word: str = "word") -> Line:
    """A sentence of so many words, a second each."""
    text = " ".join(f"{word}{number}" for number in range(words)) + "."
    return Line(start, start + words, text, NAMES[who], who)


def spoken(*turns: tuple[uuid.UUID | None, int]) -> list[Line]:
    """Sentences one after the other."""
    lines: list[Line] = []
    for number, (who, words) in enumerate(turns):
        start = lines[-1].end if lines else 0.0
        lines.append(line(words, start, who, f"s{number}w"))
    return lines


def test_nothing_said_is_no_passage():
    assert cut([], 200, 40) == []
    assert cut([Line(0, 1, "  ", "Ada", ADA), Line(1, 2, "", "", None)], 200, 40) == []


def test_short_turns_stand_together():
    [passage] = cut(spoken((ADA, 5), (BOB, 3), (ADA, 4), (None, 2)), 20, 5)
    assert passage.speakers == ("Ada", "Bob")
    assert passage.speaker_ids == (ADA, BOB)
    assert (passage.start, passage.end) == (0, 14)
    assert len(passage.text.splitlines()) == 4


def test_a_long_turn_is_cut_at_sentence_ends_with_an_overlap():
    lines = spoken(*[(ADA, 6)] * 6)
    first, second, *_ = cut(lines, 20, 6)
    assert first.text == " ".join(each.text for each in lines[:3])
    assert second.text == " ".join(each.text for each in lines[2:5])
    assert (second.start, second.end) == (12, 30)


def test_no_overlap_where_another_begins():
    lines = spoken((ADA, 8), (ADA, 8), (BOB, 8), (BOB, 8))
    first, second = cut(lines, 20, 8)
    assert (first.speakers, second.speakers) == (("Ada",), ("Bob",))
    assert (first.end, second.start) == (16, 16)


def test_a_question_stands_with_the_beginning_of_a_long_answer():
    lines = spoken((ADA, 5), *[(BOB, 8)] * 5)
    first, *_ = cut(lines, 20, 4)
    assert first.speakers == ("Ada", "Bob")
    assert first.text.startswith(lines[0].text)


def test_a_last_passage_of_a_few_words_begins_earlier():
    *_, last = cut(spoken(*[(ADA, 10)] * 3, (BOB, 1)), 20, 0)
    assert words_in(last.text) >= 10
    assert last.text.endswith("s3w0.")


def test_a_line_without_ends_of_sentences_is_cut_between_words():
    [endless] = [Line(10, 110, " ".join(f"w{n}" for n in range(100)), "Ada", ADA)]
    found = cut([endless], 20, 5)
    assert {words_in(each.text) for each in found[:-1]} == {20}
    assert found[0].text.split()[-5:] == found[1].text.split()[:5]
    assert (found[0].start, found[-1].end) == (10, 110)
    # A word has about a second.
    assert found[1].start == pytest.approx(25, abs=3)


def test_sentences_within_a_line_are_ends_too():
    text = "One two three four. Five six seven? Eight nine ten eleven! Twelve is 3.5 or so."
    found = cut([Line(0, 10, text, "Ada", ADA)], 10, 0)
    assert [each.text for each in found] == [
        "One two three four. Five six seven?",
        "Eight nine ten eleven! Twelve is 3.5 or so.",
    ]


def test_characters_count_where_words_have_no_spaces():
    text = "今日は良い天気ですね。" * 30
    found = cut([Line(0, 30, text, "", None)], 50, 10)
    assert all(words_in(each.text) <= 50 for each in found)
    assert all(each.text.endswith("。") for each in found)
    assert words_in("สวัสดีครับ") == 2
    assert words_in("x" * 100) == 3


def test_times_of_overlapping_lines_are_the_outermost():
    lines = [Line(5, 9, "A long one.", "Ada", ADA), Line(6, 7, "Yes.", "Bob", BOB)]
    [passage] = cut(lines, 20, 0)
    assert (passage.start, passage.end) == (5, 9)


def test_a_name_is_no_part_of_a_passages_id():
    [one] = cut([Line(0, 1, "Said.", "Ada", ADA)], 20, 0)
    [other] = cut([Line(0, 1, "Said.", "Ada Lovelace", ADA)], 20, 0)
    assert one.speakers != other.speakers
    assert passage_id(FILE, one) == passage_id(FILE, other)


@pytest.mark.parametrize(
    "changed",
    [
        Line(0, 1, "Said!", "Ada", ADA),
        Line(0.5, 1, "Said.", "Ada", ADA),
        Line(0, 1.5, "Said.", "Ada", ADA),
        Line(0, 1, "Said.", "Ada", BOB),
        Line(0, 1, "Said.", "Ada", None),
    ],
)
def test_text_times_and_speakers_are(changed):
    [one] = cut([Line(0, 1, "Said.", "Ada", ADA)], 20, 0)
    [other] = cut([changed], 20, 0)
    assert passage_id(FILE, one) != passage_id(FILE, other)
    assert passage_id(FILE, one) != passage_id(uuid.UUID(int=8), one)


def test_an_id_stays_the_same_in_every_version_of_this_code():
    passage = Passage(0, 0.0, 1.5, "Grüße.", ("Ada",), (ADA,))
    assert passage_id(FILE, passage) == uuid.UUID("e4b481b6-9d1a-5cdb-967d-c42c02b53902")


def test_passages_of_no_words_are_refused():
    with pytest.raises(ValueError, match="at least one word"):
        cut([], 0, 0)


words = st.lists(
    st.tuples(st.sampled_from([ADA, BOB, None]), st.integers(1, 70)), min_size=1, max_size=40
)


@settings(deadline=None)
@given(turns=words, size=st.integers(1, 60), overlap=st.integers(0, 60))
def test_everything_is_in_a_passage_that_is_not_too_long(turns, size, overlap):
    lines = spoken(*turns)
    found = cut(lines, size, overlap)
    said = [word for each in lines for word in each.text.split()]
    ends = [0]
    for passage in found:
        inside = passage.text.split()
        assert words_in(passage.text) <= size
        begin = said.index(inside[0])
        assert said[begin : begin + len(inside)] == inside
        assert begin <= ends[-1] < begin + len(inside), "no gap, and something new"
        ends.append(begin + len(inside))
    assert ends[-1] == len(said)
    assert [passage.number for passage in found] == list(range(len(found)))
    for before, after in pairwise(found):
        assert before.start <= after.start
    if len(found) > 1:
        assert min(words_in(passage.text) for passage in found) >= size / 2 - 1
    assert len({passage_id(FILE, passage) for passage in found}) == len(found)


@settings(deadline=None)
@given(turns=words)
def test_overlap_is_of_one_turn_but_for_the_last(turns):
    lines = spoken(*turns)
    found = cut(lines, 50, 10)
    of_word = {
        word: who for each, (who, _) in zip(lines, turns, strict=True) for word in each.text.split()
    }
    for before, after in list(pairwise(found))[:-1]:
        shared = set(before.text.split()) & set(after.text.split())
        assert len({of_word[word] for word in shared}) <= 1
        assert len(shared) <= 20
