"""What somebody typed is read as words, phrases and speakers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.search.query import MOST_SPEAKERS, Query, parse

MOST = 32


def test_words_phrases_and_speakers():
    found = parse('budget "launch date" speaker:ada speaker:"Bob B." 2030?', MOST)
    assert found == Query(
        words=("budget", "2030"),
        phrases=("launch date",),
        speakers=("ada", "Bob B."),
        meaning="budget launch date 2030?",
    )


@pytest.mark.parametrize(
    ("text", "words", "phrases", "speakers"),
    [
        ("“launch date”", (), ("launch date",), ()),
        ("«date de lancement»", (), ("date de lancement",), ()),
        ('budget "launch date', ("budget", "launch", "date"), (), ()),
        ('budget"launch date"', ("budget",), ("launch date",), ()),
        ("SPEAKER:Ada", (), (), ("Ada",)),
        ("SPEAKER_00", ("SPEAKER_00",), (), ()),
        ('speaker: "ada"', ("speaker",), ("ada",), ()),
        ('speaker:"ada', ("speaker", "ada"), (), ()),
        ('speaker:""', (), (), ()),
        ("loudspeaker:ada", ("loudspeaker:ada",), (), ()),
        ("-budget OR (date) NOT *", ("budget", "OR", "date", "NOT"), (), ()),
        ("title:launch AND _id=1", ("title:launch", "AND", "id=1"), (), ()),
        ("'; DROP TABLE passages; --", ("DROP", "TABLE", "passages"), (), ()),
        ("Jean-Luc's C++ user@example.org", ("Jean-Luc's", "C++", "user@example.org"), (), ()),
        ("👍 🎉", ("👍", "🎉"), (), ()),
        ("発売日 اجتماع", ("発売日", "اجتماع"), (), ()),
        ('"..." ??? -- ""', (), (), ()),
        ("a\tb\nc", ("a", "b", "c"), (), ()),
    ],
)
def test_readings(
    text: str, words: tuple[str, ...], phrases: tuple[str, ...], speakers: tuple[str, ...]
):
    found = parse(text, MOST)
    assert (found.words, found.phrases, found.speakers) == (words, phrases, speakers)


def test_nothing_but_punctuation_asks_for_nothing():
    assert parse('"..." ???', MOST).is_empty
    assert not parse("speaker:ada", MOST).is_empty


def test_what_comes_after_so_many_words_is_told():
    found = parse('one "two three" four five "six seven"', 4)
    assert found.words == ("one", "four")
    assert found.phrases == ("two three",)
    assert found.left_out == ("five", "six seven")
    assert found.meaning == "one two three four"


def test_speakers_do_not_count_as_words_and_are_limited_too():
    found = parse(" ".join(f"speaker:s{n}" for n in range(MOST_SPEAKERS + 2)) + " budget", 1)
    assert len(found.speakers) == MOST_SPEAKERS
    assert found.left_out == ("s20", "s21")
    assert found.words == ("budget",)


@given(st.text(), st.integers(0, 10))
def test_anything_can_be_typed(text: str, most: int):
    found = parse(text, most)
    assert sum(len(each.split()) for each in (*found.words, *found.phrases)) <= most
    assert all(each.strip() and '"' not in each for each in (*found.words, *found.phrases))
    assert bool(found.meaning) == bool(found.words or found.phrases)
