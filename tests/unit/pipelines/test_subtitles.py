"""Subtitles: nothing lost, nothing shown twice at a time, nothing that cannot be read."""

import html
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.documents import TranscriptDocument
from pipelines.subtitles import (
    MAX_RATE,
    MAX_SECONDS,
    MIN_SECONDS,
    cues,
    problems,
    srt,
    vtt,
)
from pipelines.wrapping import MAX_COLUMNS, MAX_LINES, Token, Wrapped, columns, tokens, wrap
from serving.speech import Doubt, Segment, Word

SPEAKERS = {"SPEAKER_00": "Ada Lovelace", "SPEAKER_01": "Grace Brewster Murray Hopper, admiral"}

spoken = st.text(
    st.sampled_from(
        "abcdefghijklmnop.,!?'-<>&0123456789äéß"
        "今日は良い天気です、。「」ーっ안녕하세요สวัสดี\u0301\u200d\u200b👩🏽🏫\u2028\x85"
    ),
    min_size=1,
    max_size=70,
)
latin = st.text(st.sampled_from("abcdefgh.,"), min_size=1, max_size=12)


@st.composite
def segments(draw, texts=spoken, begin=None, size=25) -> Segment:
    """A segment whose words follow each other; sometimes without words, sometimes edited."""
    start = draw(st.floats(0, 600)) if begin is None else begin
    words, moment = [], start
    for text in draw(st.lists(texts, min_size=1, max_size=size)):
        length = draw(st.sampled_from([0.0, 0.02, 0.2, 0.3, 0.5, 1.0, 9.0]))
        words.append(Word(moment, moment + length, text, 0.9))
        moment += length + draw(st.sampled_from([0.0, 0.05, 0.6, 3.0]))
    timed = draw(st.sampled_from([tuple(words), (), tuple(words[1:])]))
    return Segment(
        start,
        words[-1].end,
        " ".join(word.word for word in words),
        timed,
        speaker=draw(st.sampled_from([None, *SPEAKERS])),
        doubt=draw(st.sampled_from([None, None, Doubt.repetition])),
    )


def documents(texts=spoken) -> st.SearchStrategy[TranscriptDocument]:
    return st.lists(segments(texts), max_size=6).map(
        lambda made: TranscriptDocument("x", None, "en", tuple(made), speakers=SPEAKERS)
    )


def flat(text: str) -> str:
    return "".join(text.split())


def ended(document: TranscriptDocument) -> TranscriptDocument:
    """The same, and the recording ends with the last word."""
    ends = [segment.end for segment in document.segments]
    return replace(document, duration=max(ends, default=0.0) + 1)


@given(documents(), st.booleans())
def test_every_word_is_shown_once_and_in_order(document, speakers):
    shown = cues(document, speakers=speakers)
    # Of several who speak at once, the order is that of time: each one's own is kept.
    assert sorted(flat("".join(cue.text for cue in shown))) == sorted(
        flat("".join(segment.text for segment in document.segments))
    )


@given(st.lists(segments(), min_size=1, max_size=4))
def test_one_after_the_other_reads_like_the_transcript(made):
    moment, following = 0.0, []
    for segment in made:
        shift = moment - segment.start
        words = tuple(
            replace(word, start=word.start + shift, end=word.end + shift) for word in segment.words
        )
        moment = segment.end + shift
        following.append(replace(segment, start=segment.start + shift, end=moment, words=words))
        moment += 0.001
    document = TranscriptDocument("x", None, None, tuple(following), speakers=SPEAKERS)
    text = "".join(cue.text for cue in cues(document))
    assert flat(text) == flat("".join(segment.text for segment in made))


@given(documents(), st.booleans())
def test_cues_follow_each_other_within_the_recording(document, whole):
    document = ended(document) if whole else document
    shown = cues(document)
    for cue in shown:
        assert 0 <= cue.start < cue.end
        assert cue.end - cue.start <= MAX_SECONDS + 1e-6
        if document.duration is not None:
            assert cue.end <= document.duration + 0.001
    for before, after in pairwise(shown):
        assert before.end <= after.start


@given(documents(), st.booleans(), st.booleans())
def test_no_cue_is_too_wide_or_too_high(document, speakers, labelled):
    for cue in cues(document, speakers=speakers):
        lines = cue.lines(labelled=labelled)
        assert 1 <= len(lines) <= MAX_LINES
        assert all(columns(line) <= MAX_COLUMNS for line in lines), lines
        assert all(line.split() for line in lines)
        assert flat("".join(lines)).endswith(flat(cue.text))


@given(documents(latin))
def test_a_cue_that_is_too_short_or_too_fast_is_so_because_another_one_follows(document):
    shown = cues(document)
    for index, cue in enumerate(shown):
        hurried = cue.end - cue.start < MIN_SECONDS - 0.002 or cue.rate > MAX_RATE + 0.1
        if hurried and cue.end - cue.start < MAX_SECONDS - 0.001:
            assert index + 1 < len(shown)
            assert shown[index + 1].start - cue.end < 0.002


@given(documents(), st.booleans())
def test_srt_parses_back(document, speakers):
    blocks = [block for block in srt(document, speakers=speakers).split("\n\n") if block]
    shown = cues(document, speakers=speakers)
    assert len(blocks) == len(shown)
    for number, (block, cue) in enumerate(zip(blocks, shown, strict=True), 1):
        head, times, *lines = block.strip("\n").split("\n")
        assert head == str(number)
        assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", times)
        assert lines == [line.replace("-->", "->") for line in cue.lines(labelled=True)]
        assert all(lines)


@given(documents(), st.booleans())
def test_vtt_parses_back_and_holds_no_markup_of_theirs(document, speakers):
    head, *blocks = [block for block in vtt(document, speakers=speakers).split("\n\n") if block]
    assert head.strip() == "WEBVTT"
    shown = cues(document, speakers=speakers)
    assert len(blocks) == len(shown)
    for block, cue in zip(blocks, shown, strict=True):
        times, content = block.strip("\n").split("\n", 1)
        assert "-->" in times
        assert "-->" not in content
        voice = re.match(r"<v ([^<>]*)>", content)
        assert bool(voice) == bool(cue.speaker and speakers)
        text = content[voice.end() if voice else 0 :]
        assert not re.search("[<>]", text)
        assert html.unescape(text).split("\n") == cue.lines(labelled=False)


@given(st.lists(spoken, min_size=1, max_size=60), st.sampled_from(["", "Ada: ", "Ada: [?] "]))
def test_wrapping_loses_nothing_and_always_advances(texts, prefix):
    made = tokens(Segment(0, 20, " ".join(texts)))
    groups = list(wrap(made, prefix, 6000))
    assert [token for group in groups for token in group] == made
    assert all(Wrapped(prefix, group).fits for group in groups)


def test_lines_are_cut_where_they_read_best():
    said = "We met in the old town, and then we went to the harbour."
    (cue,) = cues(TranscriptDocument("x", 9, "en", (Segment(0, 4, said),)))
    assert cue.lines(labelled=True) == [
        "We met in the old town,",
        "and then we went to the harbour.",
    ]


def test_cues_are_cut_at_the_end_of_a_sentence():
    first = "This is a rather long sentence that fills most of what two lines can hold."
    second = "And here is another one of about that length, which cannot stand beside it."
    shown = cues(TranscriptDocument("x", 20, "en", (Segment(0, 10, f"{first} {second}"),)))
    assert [cue.text for cue in shown] == [first, second]


def test_what_is_left_over_is_no_single_word():
    said = " ".join(["seven77"] * 12)
    shown = cues(TranscriptDocument("x", 20, "en", (Segment(0, 8, said),)))
    assert [len(cue.text.split()) for cue in shown] == [6, 6]


def test_a_name_is_said_where_the_speaker_changes():
    made = tuple(
        Segment(3 * n, 3 * n + 2, f"Line {n}.", speaker=speaker)
        for n, speaker in enumerate(["SPEAKER_00", "SPEAKER_00", "SPEAKER_01", None, "SPEAKER_01"])
    )
    document = TranscriptDocument("x", 20, "en", made, speakers=SPEAKERS)
    assert [cue.lines(labelled=True) for cue in cues(document)] == [
        ["Ada Lovelace: Line 0."],
        ["Line 1."],
        ["Grace Brewster Murray H…: Line 2."],
        ["Line 3."],
        ["Grace Brewster Murray H…: Line 4."],
    ]
    assert "<v Grace Brewster Murray Hopper, admiral>Line 2." in vtt(document)
    assert "Ada" not in srt(document, speakers=False)
    assert "<v" not in vtt(document, speakers=False)


def test_short_lines_of_one_person_are_shown_together():
    made = (
        Segment(0, 0.3, "Yes.", speaker="SPEAKER_00"),
        Segment(0.35, 0.7, "I do.", speaker="SPEAKER_00"),
        Segment(0.75, 2.0, "Why?", speaker="SPEAKER_01"),
    )
    shown = cues(TranscriptDocument("x", 9, "en", made))
    assert [cue.text for cue in shown] == ["Yes. I do.", "Why?"]


def test_a_cue_stays_until_it_can_be_read():
    made = (Segment(1, 1.2, "Quick, and twenty columns wide."), Segment(30, 31, "Later."))
    first, _ = cues(TranscriptDocument("x", 60, "en", made))
    assert first.start == 1
    assert first.end == pytest.approx(1 + 31 / MAX_RATE)


def test_who_speaks_at_the_same_time_is_shown_one_after_the_other():
    made = (
        Segment(0, 4, "I think that", speaker="SPEAKER_00"),
        Segment(0.1, 4, "No, wait", speaker="SPEAKER_01"),
    )
    first, second = cues(TranscriptDocument("x", 5, "en", made))
    assert first.end == second.start == pytest.approx(MIN_SECONDS, abs=0.001)


def test_the_words_say_when():
    words = tuple(Word(10 + n, 10.5 + n, word, 1.0) for n, word in enumerate("abcd"))
    made = tokens(Segment(10, 14, "a b c d", words))
    assert [(token.start, token.end) for token in made] == [
        (10000, 10500),
        (11000, 11500),
        (12000, 12500),
        (13000, 13500),
    ]


def test_an_edited_text_is_shared_out_over_its_time():
    words = (Word(0, 1, "teh", 1.0), Word(9, 10, "end", 1.0))
    made = tokens(Segment(0, 10, "the end", words))
    assert [(token.text, token.start, token.end) for token in made] == [
        ("the", 0, 5000),
        ("end", 5000, 10000),
    ]


def test_chinese_is_cut_between_characters_but_not_before_a_full_stop():
    said = "今天天气很好我们去公园散步然后回家吃饭再看一场电影最后大家都很开心。" * 2
    shown = cues(TranscriptDocument("x", 60, "zh", (Segment(0, 30, said),)))
    assert len(shown) > 1
    lines = [line for cue in shown for line in cue.lines(labelled=True)]
    assert "".join(lines) == said
    assert not any(line.startswith("。") for line in lines)


def test_a_word_longer_than_a_line_goes_on_without_a_hyphen():
    (cue,) = cues(TranscriptDocument("x", 9, "de", (Segment(0, 5, "x" * 60),)))
    assert cue.lines(labelled=True) == ["x" * 42, "x" * 18]


def test_emoji_and_accents_stay_whole():
    family = "👩\u200d👩\u200d👧"
    made = tokens(Segment(0, 5, family * 40 + "e\u0301" * 50))
    assert all(not token.text.startswith(("\u200d", "\u0301")) for token in made)


def test_doubtful_text_is_marked_in_every_cue():
    said = " ".join(["Thank you for watching."] * 8)
    document = TranscriptDocument("x", 60, "en", (Segment(0, 20, said, doubt=Doubt.repetition),))
    shown = cues(document)
    assert len(shown) > 1
    assert all(cue.lines(labelled=True)[0].startswith("[?] ") for cue in shown)


def test_arrows_and_markup_are_text():
    document = TranscriptDocument("x", 9, "en", (Segment(0, 5, "a --> b <i> & c"),))
    assert srt(document).splitlines()[2] == "a -> b <i> & c"
    assert vtt(document).splitlines()[3] == "a --&gt; b &lt;i&gt; &amp; c"


def test_silence():
    empty = TranscriptDocument("x", 9, None, ())
    assert (srt(empty), vtt(empty), list(problems(empty, cues(empty)))) == ("", "WEBVTT\n", [])


def test_problems_are_told_with_their_place():
    made = (
        Segment(0, 2, "Good."),
        Segment(3, 4, " "),
        Segment(5, 5, "When?"),
        Segment(6, 6.2, "Far too much to be read in such a short time", speaker="SPEAKER_00"),
        Segment(6.2, 12, "Well.", speaker="SPEAKER_01"),
    )
    document = TranscriptDocument("x", 9, "en", made)
    told = list(problems(document, cues(document)))
    assert told == [
        "Segment 2 at 00:00:03.000 has no text.",
        "Segment 3 at 00:00:05.000 ends before it begins.",
        "Segment 5 at 00:00:06.200 ends after the recording.",
        "Cue 3 at 00:00:06.000 is shown for 0.20 s, less than 0.83 s.",
        "Cue 3 at 00:00:06.000 has 220 characters per second, more than 20.",
    ]


@given(st.text(max_size=200))
def test_columns_never_exceed_two_for_each_character(text):
    assert 0 <= columns(text) <= 2 * len(text)
    plain = text.encode("ascii", "ignore").decode()
    assert columns(plain) == len(plain)


def test_a_cut_needs_no_more_than_a_look_at_its_neighbourhood():
    """An hour in one segment is cut in one pass."""
    said = " ".join(["word"] * 20_000)
    shown = cues(TranscriptDocument("x", 7200, "en", (Segment(0, 7000, said),)))
    assert flat("".join(cue.text for cue in shown)) == "word" * 20_000


def test_token_ranks():
    def rank(text: str) -> int:
        return Token(text, 0, 1, glued=False, width=1).rank

    assert [rank(text) for text in ("so.", 'so."', "so,", "so", "好。", "…", '"')] == [
        2,
        2,
        1,
        0,
        2,
        2,
        0,
    ]
