"""Attribution: properties over random words and turns, and the rules one by one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stages.attribute import (
    MAX_SEGMENT_SECONDS,
    ends_sentence,
    joined,
    segments_of,
    speakers_of,
)
from serving.speech import SpeakerTurn, WindowText, Word

TEXT = WindowText("", -0.2, 0.01, 1.3, 0.0)


@st.composite
def words_and_turns(draw):
    gaps = draw(st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 1.5)), max_size=40))
    time, words = 0.0, []
    for gap, length in gaps:
        start = time + gap
        time = start + length
        words.append(Word(start, time, draw(st.sampled_from(["a", "b.", "c?", "d,", "e"])), 0.9))
    clock, turns = 0.0, []
    for gap, length, speaker in draw(
        st.lists(st.tuples(st.floats(0, 4), st.floats(0.1, 6), st.integers(0, 3)), max_size=15)
    ):
        start = clock + gap
        clock = start + length
        turns.append(SpeakerTurn(start, clock, f"SPEAKER_{speaker:02d}"))
    return words, turns


def overlap(word: Word, turn: SpeakerTurn) -> float:
    return min(word.end, turn.end) - max(word.start, turn.start)


@given(words_and_turns())
def test_every_word_is_kept_once_in_order_with_a_speaker_that_exists(case):
    words, turns = case
    labelled = speakers_of(words, turns)
    assert [replace(word, speaker=None) for word in labelled] == words
    speakers = {turn.speaker for turn in turns} or {None}
    assert {word.speaker for word in labelled} <= speakers
    segments = list(segments_of(TEXT, labelled))
    assert [word for segment in segments for word in segment.words] == labelled
    for segment in segments:
        assert {word.speaker for word in segment.words} == {segment.speaker}
        assert segment.start <= segment.end
        single = len(segment.words) == 1
        assert single or segment.words[-1].end - segment.start <= MAX_SEGMENT_SECONDS


@given(words_and_turns())
def test_the_one_pass_finds_the_same_turn_as_looking_at_all_of_them(case):
    words, turns = case
    if not turns:
        return
    # Single words have no neighbours that could smooth them away.
    for word in words:
        [labelled] = speakers_of([word], turns)
        best = max(overlap(word, turn) for turn in turns)
        assert labelled.speaker in {t.speaker for t in turns if overlap(word, t) == best}


def test_a_word_outside_every_turn_goes_to_the_nearest():
    turns = [SpeakerTurn(0, 1, "A"), SpeakerTurn(5, 6, "B")]
    words = [Word(1.2, 1.4, "near.", 1), Word(4.5, 4.8, "late.", 1)]
    assert [word.speaker for word in speakers_of(words, turns)] == ["A", "B"]


def test_one_word_in_mid_sentence_returns_to_the_speaker_around_it():
    turns = [SpeakerTurn(0, 1, "A"), SpeakerTurn(1, 1.3, "B"), SpeakerTurn(1.3, 3, "A")]
    words = [
        Word(0.1, 0.4, "as", 1),
        Word(0.5, 0.9, "we", 1),
        Word(1.0, 1.3, "all", 1),
        Word(1.4, 2, "know", 1),
        Word(2.1, 2.5, "well.", 1),
    ]
    assert {word.speaker for word in speakers_of(words, turns)} == {"A"}


def test_the_last_word_of_a_sentence_stays_with_its_speaker():
    turns = [SpeakerTurn(0, 1, "A"), SpeakerTurn(1, 9, "B")]
    words = [
        Word(0.1, 0.5, "Neither", 1),
        Word(0.5, 0.9, "did", 1),
        Word(1.0, 1.1, "I.", 1),
        Word(1.4, 2, "Okay.", 1),
    ]
    assert [word.speaker for word in speakers_of(words, turns)] == ["A", "A", "A", "B"]


def test_a_short_answer_between_sentences_keeps_its_speaker():
    turns = [SpeakerTurn(0, 1, "A"), SpeakerTurn(1, 1.3, "B"), SpeakerTurn(1.3, 3, "A")]
    words = [Word(0.5, 0.9, "Right?", 1), Word(1.0, 1.3, "Yes.", 1), Word(1.4, 2, "Good.", 1)]
    assert [word.speaker for word in speakers_of(words, turns)] == ["A", "B", "A"]


@pytest.mark.parametrize(
    ("word", "ends"),
    [("end.", True), ("end.”", True), ("3.5", False), ("何。", True), ("and", False), ("”", False)],
)
def test_sentence_ends(word, ends):
    assert ends_sentence(word) is ends


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["Hello", "there."], "Hello there."),
        (["你好", "世界"], "你好世界"),
        (["안녕", "세상"], "안녕 세상"),
    ],
)
def test_words_are_joined_as_their_script_does(words, text):
    assert joined(words) == text
