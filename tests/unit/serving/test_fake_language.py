"""The fake language model is honest: it sees the prompt, counts, and keeps to the form."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.language import answers, identify, topics
from serving.engines.fake_language import FakeLanguageEngine, cut, tokens

TRANSCRIPT = """Summarise.
<already_noted>
Bob [00:01] Carla Vane will paint the fence by Monday.
</already_noted>
<transcript>
Anna [00:10] I am Anna Weiss. The Kestrel plant made 4,711 tonnes. It rained.
Bob [01:10] Dana Holm will call the bank by Friday noon. We decided to leave Ghent. Why?
</transcript>"""
FORMS = (
    answers.notes_schema,
    answers.whole_schema,
    answers.merged_schema,
    answers.final_schema,
    identify.people_schema,
    topics.labels_schema,
)


def request(content=TRANSCRIPT, schema=None, max_tokens=500):
    messages = [
        {"role": "system", "content": "You take notes."},
        {"role": "user", "content": f"{content}\nYou are asked about: Anna. Answer in JSON."},
    ]
    return {"messages": messages, "max_tokens": max_tokens, "temperature": 0.0, "schema": schema}


async def said(context=4096, **fields):
    engine = FakeLanguageEngine(context)
    return [item async for item in engine.generate(request(**fields))]


async def answered(make, **fields):
    [*_, last] = await said(schema=make(1.0, 1.0), **fields)
    return json.loads(last["text"])


async def test_what_is_said_in_the_transcript_is_noted():
    notes = await answered(answers.notes_schema)
    [task] = notes["action_items"]
    assert (task["item"], task["owner"], task["due_date"]) == (
        "call the bank",
        "Dana Holm",
        "by Friday noon",
    )
    assert "The Kestrel plant made 4,711 tonnes." in notes["topics"][0]["key_points"]
    assert "It rained." not in notes["topics"][0]["key_points"]
    assert notes["decisions"] == [
        {
            "decision": "We decided to leave Ghent.",
            "context": "",
            "impact": "",
            "stakeholders": ["Bob"],
            "time": "01:10",
        }
    ]
    assert notes["follow_ups"] == ["Why?"]


async def test_what_was_noted_before_is_not_noted_again():
    [*_, last] = await said(schema=answers.notes_schema(1.0, 1.0))
    assert "fence" not in last["text"]


async def test_people_who_introduce_themselves_are_named():
    [anna] = (await answered(identify.people_schema))["speakers"]
    assert (anna["label"], anna["name"]) == ("Anna", "Anna Weiss")


@pytest.mark.parametrize("make", FORMS)
@pytest.mark.parametrize(
    "content", [TRANSCRIPT, "<notes>\n1. One thing\n2. Thing\n</notes>", "", "7"]
)
async def test_it_answers_every_form(make, content):
    for size in (0.15, 1.0, 8.0):
        schema = make(size, 1.0)
        schema = {**schema, "properties": {**schema["properties"]}}
        [*_, last] = await said(content=content, schema=schema, max_tokens=3500)
        value = json.loads(last["text"])
        jsonschema.validate(value, relaxed(schema))


def relaxed(schema):
    """Without what it must have: of an empty prompt there is nothing to say."""
    text = json.dumps(schema).replace('"minLength": 1', '"minLength": 0')
    return json.loads(text.replace('"minItems": 1', '"minItems": 0'))


async def test_other_schemas_are_filled_as_well():
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 3},
            "yes": {"type": "boolean"},
            "list": {"type": "array", "items": {"type": "number"}},
            "words": {"type": "array", "items": {"type": "string"}, "maxItems": 1},
        },
    }
    [*_, last] = await said(schema=schema)
    jsonschema.validate(json.loads(last["text"]), schema)


async def test_without_a_schema_it_quotes():
    [*_, last] = await said()
    assert "4,711 tonnes" in last["text"]


async def test_it_stops_at_its_limit():
    *pieces, last = await said(schema=answers.notes_schema(1.0, 1.0), max_tokens=20)
    assert (last["finish"], last["completion_tokens"]) == ("length", 20)
    assert "".join(piece["text"] for piece in pieces) == last["text"]


async def test_an_answer_comes_in_pieces_and_then_whole():
    *pieces, last = await said(schema=answers.notes_schema(1.0, 1.0))
    assert len(pieces) > 3
    assert "".join(piece["text"] for piece in pieces) == last["text"]
    assert last["finish"] == "stop"
    assert last["prompt_tokens"] > tokens(TRANSCRIPT)


async def test_what_does_not_fit_is_refused():
    prompt = (await said())[-1]["prompt_tokens"]
    [refused] = await said(context=prompt + 499)
    assert refused["error"] == "context_exceeded"
    assert str(prompt) in refused["message"]
    [*_, last] = await said(context=prompt + 500)
    assert last["finish"] == "stop"


async def test_it_says_the_same_every_time():
    assert await said(schema=answers.whole_schema(1, 1)) == await said(
        schema=answers.whole_schema(1, 1)
    )


@settings(deadline=None)
@given(st.text(), st.text(), st.integers(0, 50))
def test_two_texts_have_no_more_tokens_together_than_apart(first, second, most):
    assert tokens(first + second) <= tokens(first) + tokens(second)
    assert tokens(cut(first, most)) == min(most, tokens(first))
    assert first.startswith(cut(first, most))


def test_it_says_what_it_is():
    engine = FakeLanguageEngine(2048)
    engine.load()
    assert engine.describe() == {"model": "fake-language", "context_tokens": 2048}
    assert engine.count_tokens(["two words", "", "漢字"]) == [2, 0, 2]
    engine.close()
