"""Names are suggested where somebody says them, with the quote, and otherwise not."""

import json

import pytest

from pipelines.language.evidence import EvidenceKind, PeopleAnswer, Predicted, checked
from pipelines.language.identify import LEAST_CONFIDENCE, SHARE, identify, merged
from pipelines.language.reading import lines_of
from pipelines.language.sections import Section
from serving.language import Finish, Generation, TokenUsage
from tests.fixtures.language import Memory, Told, Watched, conversation, engine_model, work_with
from tests.fixtures.planted import chatter

TALK = conversation(
    ("SPEAKER_00", 0, 5, "Good morning everybody, this is Peter Kweon from investor relations."),
    ("SPEAKER_01", 5, 9, "Thanks, Peter. I will begin with the figures."),
    ("Anna Weiss", 9, 14, "And I am Anna Weiss, as you know."),
    ("SPEAKER_01", 14, 20, "Dana will speak about Ghent later."),
)
LABELS = {"SPEAKER_00": "SPEAKER_00", "SPEAKER_01": "SPEAKER_01", "Anna Weiss": "SPEAKER_02"}
SECTION = Section(tuple(lines_of(TALK)))


def answer(*people) -> PeopleAnswer:
    return PeopleAnswer.model_validate({"speakers": people})


def person(label, name, quote, kind="self_introduction", confidence=0.9):
    evidence = [{"kind": kind, "quote": quote}]
    return {"label": label, "name": name, "evidence": evidence, "confidence": confidence}


def kept(*people, known=(), labels=("SPEAKER_00", "SPEAKER_01")) -> list[Predicted]:
    return list(checked(SECTION, answer(*people), labels, known))


async def test_speakers_without_a_name_are_predicted_with_the_quote_and_its_time():
    model, told = Watched(engine_model(4096)), Told()
    found = await identify(TALK, LABELS, [], work_with(model, progress=told))
    [peter] = found.predictions
    assert (peter.speaker, peter.name) == ("SPEAKER_00", "Peter Kweon")
    assert peter.confidence >= LEAST_CONFIDENCE
    introduction = {"kind": "self_introduction", "quote": TALK.utterances[0].text, "start": 0}
    assert introduction in [one.stored() for one in peter.evidence]
    assert found.usage.calls == len(model.requests) == 1
    assert told.steps[-1][0] in SHARE


async def test_speakers_who_have_a_name_are_not_asked_about():
    model = Watched(engine_model(4096))
    await identify(TALK, LABELS, [], work_with(model))
    asked = model.requests[0].messages[-1].content
    assert "You are asked about: SPEAKER_00, SPEAKER_01." in asked
    named = dict.fromkeys(LABELS, "SPEAKER_07")
    found = await identify(TALK, named, [], work_with(unasked := Watched(engine_model(4096))))
    assert (found.predictions, unasked.requests) == ((), [])


async def test_sections_in_which_only_named_people_speak_are_not_read():
    utterances = (
        *TALK.utterances,
        *(one for one in chatter(60).utterances if one.speaker == "Anna"),
    )
    talk = conversation(*((one.speaker, one.start, one.end, one.text) for one in utterances))
    model = Watched(engine_model(2048))
    await identify(talk, LABELS, [], work_with(model))
    assert len(model.requests) == 1


async def test_sections_of_a_long_call_agree():
    again = [
        (one.speaker, one.start + 2000 * i, one.end + 2000 * i, one.text)
        for i in range(3)
        for one in (*TALK.utterances, *chatter(12).utterances)
    ]
    memory = Memory()
    found = await identify(conversation(*again), LABELS, [], work_with(engine_model(2048), memory))
    [peter] = found.predictions
    assert len({one.start for one in peter.evidence}) >= 3
    repeated = Watched(engine_model(2048))
    assert await identify(conversation(*again), LABELS, [], work_with(repeated, memory)) == found
    assert not repeated.requests


def test_a_quote_that_nobody_said_is_no_evidence():
    assert not kept(
        person("SPEAKER_00", "Peter Kweon", "My name is Peter Kweon and I live in Rome")
    )
    assert not kept(person("SPEAKER_00", "Peter Kweon", "a"))
    assert not kept({"label": "SPEAKER_00", "name": "Peter Kweon", "confidence": 1.0})
    [one] = kept(person("SPEAKER_00", "Peter Kweon", "this is Peter Kwon from investors relations"))
    assert one.evidence[0].kind is EvidenceKind.self_introduction


def test_a_name_that_nobody_says_is_taken_only_if_the_user_knows_it():
    quote = "Dana will speak about Ghent later"
    assert not kept(person("SPEAKER_01", "Maria Lopez", quote))
    [one] = kept(person("SPEAKER_01", "maria lopes", quote), known=["Maria Lopez"])
    assert one.name == "Maria Lopez"


def test_the_names_in_front_of_lines_are_not_said():
    talk = conversation(
        ("Carla Bruni", 0, 4, "Hello there, my friend."), ("SPEAKER_01", 4, 9, "Hi.")
    )
    found = checked(
        Section(tuple(lines_of(talk))),
        answer(person("SPEAKER_01", "Carla Bruni", "Hello there, my friend")),
        ["SPEAKER_01"],
        [],
    )
    assert not list(found)


@pytest.mark.parametrize(
    "name", ["", "Unknown", "Speaker 1", "SPEAKER_01", "speaker", "N/A", "Participant 2"]
)
def test_no_name_is_no_name(name):
    assert not kept(person("SPEAKER_01", name, "Thanks, Peter. I will begin"), known=["Speaker 1"])


def test_other_labels_are_not_answered_for():
    assert not kept(person("SPEAKER_02", "Peter", "Thanks, Peter."))


@pytest.mark.parametrize(
    ("label", "kind", "expected", "surest"),
    [
        ("SPEAKER_00", "addressed", EvidenceKind.addressed, 0.85),
        ("SPEAKER_00", "self_introduction", EvidenceKind.mentioned, 0.7),
        ("SPEAKER_01", "addressed", EvidenceKind.context, 0.6),
        ("SPEAKER_00", "a hunch", EvidenceKind.context, 0.6),
    ],
)
def test_who_says_it_decides_what_a_quote_is_worth(label, kind, expected, surest):
    [one] = kept(person(label, "Peter", "Thanks, Peter. I will begin", kind, 1.0))
    assert (one.evidence[0].kind, one.confidence) == (expected, surest)


def predicted(name, confidence, kind="addressed", speaker="SPEAKER_00") -> Predicted:
    quote = "Thanks, Peter. I will begin with the figures."
    [one] = kept(person(speaker, "Peter", quote, kind, confidence))
    return Predicted(speaker, name, confidence, "", one.evidence)


def test_agreement_makes_surer_and_contradiction_less_sure():
    [alone] = merged([predicted("Peter", 0.6)])
    [agreed] = merged([predicted("Peter", 0.6), predicted("Peter Kweon", 0.6)])
    assert (agreed.name, agreed.confidence > alone.confidence) == ("Peter Kweon", True)
    assert agreed.confidence <= 0.85
    assert not merged([predicted("Peter", 0.6), predicted("Dana", 0.6)])


def test_what_is_unlikely_is_left_out_and_the_surest_come_first():
    found = merged([predicted("Peter", 0.4), predicted("Dana", 0.7, speaker="SPEAKER_00")])
    assert [one.name for one in found] == []
    found = merged([predicted("Peter", 0.1), predicted("Dana", 0.8)])
    assert [one.name for one in found] == ["Dana"]


async def test_known_names_are_told_as_far_as_there_is_room():
    model = Watched(engine_model(2048))
    many = [f"Person Number{i}" for i in range(300)]
    await identify(TALK, LABELS, many, work_with(model))
    told = model.requests[0].messages[-1].content
    assert "Person Number0, Person Number1" in told
    assert "Number299" not in told


async def test_an_answer_of_another_model_is_held_against_what_was_said():
    wrong = person("SPEAKER_01", "Dana", "I am Dana and I lead the finance team")
    right = person("SPEAKER_00", "Peter Kweon", "this is Peter Kweon")
    text = json.dumps({"speakers": [wrong, right]})
    model = Watched(
        engine_model(4096), lambda _: Generation(text, Finish.stop, TokenUsage(1, 1, 1), "m")
    )
    found = await identify(TALK, LABELS, [], work_with(model))
    assert [one.name for one in found.predictions] == ["Peter Kweon"]
    assert found.predictions[0].evidence[0].start > 0
