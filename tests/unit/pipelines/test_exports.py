"""Exports: times that parse back, order, escaping, and what doubtful text looks like."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.documents import TranscriptDocument
from pipelines.exports import MEDIA_TYPES, RENDERERS, ExportFormat, render
from pipelines.subtitles import clock
from serving.speech import Doubt, Segment, SpeakerTurn, Word

CLOCK = r"(\d{2,}):(\d{2}):(\d{2})[.,](\d{3})"

moments = st.floats(min_value=-1, max_value=400_000, allow_nan=False)
texts = st.text(max_size=60)
labels = st.sampled_from([None, "SPEAKER_00", "SPEAKER_01"])


def in_milliseconds(hours: str, minutes: str, seconds: str, milliseconds: str) -> int:
    assert int(minutes) < 60
    assert int(seconds) < 60
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(milliseconds)


@st.composite
def words(draw) -> tuple[Word, ...]:
    start = draw(moments)
    made = []
    for text in draw(st.lists(texts, max_size=12)):
        end = start + draw(st.floats(0, 5))
        made.append(Word(start, end, text, draw(st.floats(0, 1)), draw(labels)))
        start = end
    return tuple(made)


@st.composite
def segments(draw) -> Segment:
    spoken = draw(words())
    if spoken:
        text = " ".join(word.word for word in spoken)
        start, end = spoken[0].start, spoken[-1].end
    else:
        text, start = draw(texts), draw(moments)
        end = start + draw(st.floats(0, 60))
    return Segment(
        start, end, text, spoken, speaker=draw(labels), doubt=draw(st.sampled_from([None, *Doubt]))
    )


documents = st.builds(
    TranscriptDocument,
    title=texts,
    duration=st.none() | moments,
    language=st.none() | st.just("en"),
    segments=st.lists(segments(), max_size=6).map(tuple),
    turns=st.lists(
        st.builds(SpeakerTurn, moments, moments, st.sampled_from(["SPEAKER_00", "a b"])), max_size=4
    ).map(tuple),
    speakers=st.dictionaries(st.sampled_from(["SPEAKER_00", "SPEAKER_01"]), texts),
)


def conversation() -> TranscriptDocument:
    return TranscriptDocument(
        title="Board meeting",
        duration=70.0,
        language="en",
        segments=(
            Segment(
                0.5,
                1.25,
                "Good morning.",
                (
                    Word(0.5, 0.8, "Good", 0.99, "SPEAKER_00"),
                    Word(0.8, 1.25, "morning.", 0.5, "SPEAKER_00"),
                ),
                speaker="SPEAKER_00",
            ),
            Segment(59.9996, 61.0, "R&D <is> here --> now", speaker="SPEAKER_01"),
            Segment(62.0, 63.0, "Thank you.", doubt=Doubt.repetition),
        ),
        turns=(SpeakerTurn(0.4, 1.3, "SPEAKER_00"), SpeakerTurn(1.0, 2.0, "SPEAKER_01")),
        speakers={"SPEAKER_00": "Ada"},
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "00:00:00.000"),
        (-0.4, "00:00:00.000"),
        (59.9994, "00:00:59.999"),
        (59.9996, "00:01:00.000"),
        (3599.9999, "01:00:00.000"),
        (360_000, "100:00:00.000"),
    ],
)
def test_times_are_rounded_as_a_whole(seconds, expected):
    assert clock(seconds, ".") == expected


@given(moments)
@example(59.9995)
def test_times_parse_back(seconds):
    match = re.fullmatch(CLOCK, clock(seconds, "."))
    assert match
    parsed = in_milliseconds(*match.groups())
    assert abs(parsed - max(0, seconds) * 1000) <= 0.5 + 1e-6


@given(documents)
def test_rttm_and_ctm_have_as_many_fields_as_their_format(document):
    for line in render(document, ExportFormat.rttm).splitlines():
        fields = line.split(" ")
        assert len(fields) == 10
        assert float(fields[3]) >= 0
        assert float(fields[4]) >= 0
    starts = []
    for line in render(document, ExportFormat.ctm).splitlines():
        _, _, start, duration, _, probability = line.split(" ")
        assert float(duration) >= 0
        assert 0 <= float(probability) <= 1
        starts.append(float(start))
    assert starts == sorted(starts)


@given(documents)
def test_every_format_is_text_that_can_be_sent(document):
    for export_format in ExportFormat:
        render(document, export_format).encode()


def test_every_format_has_a_renderer_and_a_media_type():
    assert set(RENDERERS) == set(MEDIA_TYPES) == set(ExportFormat)


def test_txt():
    assert render(conversation(), ExportFormat.txt) == (
        "[00:00:00] Ada: Good morning.\n"
        "[00:01:00] SPEAKER_01: R&D <is> here --> now\n"
        "[00:01:02] [?] Thank you.\n"
    )


def test_srt():
    assert render(conversation(), ExportFormat.srt) == (
        "1\n00:00:00,500 --> 00:00:01,333\nAda: Good morning.\n\n"
        "2\n00:01:00,000 --> 00:01:01,050\nSPEAKER_01: R&D <is> here -> now\n\n"
        "3\n00:01:02,000 --> 00:01:03,000\n[?] Thank you.\n"
    )


def test_vtt():
    assert render(conversation(), ExportFormat.vtt) == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:01.333\n<v Ada>Good morning.\n\n"
        "00:01:00.000 --> 00:01:01.050\n<v SPEAKER_01>R&amp;D &lt;is&gt; here --&gt; now\n\n"
        "00:01:02.000 --> 00:01:03.000\n[?] Thank you.\n"
    )


def test_rttm_keeps_overlaps():
    assert render(conversation(), ExportFormat.rttm) == (
        "SPEAKER Board_meeting 1 0.400 0.900 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER Board_meeting 1 1.000 1.000 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    )


def test_ctm():
    assert render(conversation(), ExportFormat.ctm) == (
        "Board_meeting 1 0.500 0.300 Good 0.990\nBoard_meeting 1 0.800 0.450 morning. 0.500\n"
    )


def test_json_holds_everything():
    exported = json.loads(render(conversation(), ExportFormat.json))
    assert exported["segments"][0]["words"][1]["probability"] == 0.5
    assert exported["segments"][2]["doubt"] == "repetition"
    assert exported["turns"][0] == {"start": 0.4, "end": 1.3, "speaker": "SPEAKER_00"}
    assert exported["speakers"] == {"SPEAKER_00": "Ada"}


@pytest.mark.parametrize("export_format", ExportFormat)
def test_a_recording_without_speech(export_format):
    empty = TranscriptDocument("silence", 10, None, ())
    text = render(empty, export_format)
    assert text == {"vtt": "WEBVTT\n", "json": text}.get(export_format, "")
