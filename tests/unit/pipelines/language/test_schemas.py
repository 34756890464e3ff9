"""Forms that fit the room for an answer, and agree with what answers are validated by."""

import json
from typing import get_args

import jsonschema
import pytest
from pydantic import BaseModel

from pipelines.language import answers, evidence, identify, topics
from pipelines.language.budget import LONGEST_ANSWER, answer_tokens
from pipelines.language.schemas import SIZES, USUAL, fullest, sized
from pipelines.language.summarize import LEAST_WHOLE
from serving.engines import fake_language

FORMS = [
    (answers.notes_schema, answers.NotesAnswer),
    (answers.whole_schema, answers.WholeAnswer),
    (answers.merged_schema, answers.MergedAnswer),
    (answers.final_schema, answers.FinalAnswer),
    (identify.people_schema, evidence.PeopleAnswer),
    (topics.labels_schema, topics.LabelsAnswer),
]
SHARES = {
    identify.people_schema: identify.ANSWER_SHARE,
    topics.labels_schema: topics.ANSWER_SHARE,
}
WITH_FORMS = pytest.mark.parametrize(("make", "model"), FORMS, ids=lambda one: one.__name__)


def full(schema):
    """The longest value that a schema allows."""
    match schema["type"]:
        case "object":
            return {name: full(of) for name, of in schema["properties"].items()}
        case "array":
            return [full(schema["items"])] * schema["maxItems"]
        case "string":
            if "enum" in schema:
                return max(schema["enum"], key=len)
            return ("seven letters " * 100)[: schema["maxLength"]].replace(" ", "_", 1)
        case _:
            return 1


def inner(annotation) -> type[BaseModel] | None:
    """The model that a field's items have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(inner, get_args(annotation))), None)


def agree(schema, model) -> None:
    fields = model.model_fields
    assert set(schema["properties"]) <= set(fields)
    required = {name for name, field in fields.items() if field.is_required()}
    assert required <= set(schema["properties"])
    for name, of in schema["properties"].items():
        if of["type"] == "array" and of["items"]["type"] == "object":
            agree(of["items"], inner(fields[name].annotation))


@WITH_FORMS
@pytest.mark.parametrize("size", SIZES)
def test_a_schema_asks_for_what_its_model_validates(make, model, size):
    schema = make(size, 1.0)
    agree(schema, model)
    jsonschema.Draft202012Validator.check_schema(schema)
    value = full(schema)
    jsonschema.validate(value, schema)
    model.model_validate(value)


@WITH_FORMS
def test_larger_forms_have_room_for_more(make, model):
    tokens = [fullest(make(size, 1.0), 3.2) for size in SIZES]
    assert tokens == sorted(tokens, reverse=True)


@WITH_FORMS
@pytest.mark.parametrize("context", [2048, 4096, 8192, 32768, 200_000])
def test_a_usual_answer_fits_into_its_room(make, model, context):
    room = answer_tokens(context, SHARES.get(make, 4))
    if make is answers.whole_schema and room < LEAST_WHOLE:
        return
    schema = sized(make, room, 3.2)
    # By a tokenizer that counts every sign of the JSON.
    whole = fake_language.tokens(json.dumps(full(schema)))
    assert USUAL * fullest(schema, 3.2) <= room
    assert whole <= 2.5 * room


def test_dense_scripts_get_shorter_texts():
    english = sized(answers.notes_schema, 1024, 3.2)["properties"]["summary"]["maxLength"]
    chinese = sized(answers.notes_schema, 1024, 1.0)["properties"]["summary"]["maxLength"]
    assert chinese < english


def test_no_answer_is_longer_than_models_write():
    assert answer_tokens(2048) == 512
    assert answer_tokens(200_000) == LONGEST_ANSWER


def test_what_models_write_for_nothing_is_nothing():
    answer = answers.NotesAnswer.model_validate(
        {
            "summary": " Talk. ",
            "topics": None,
            "action_items": [
                {"item": "go", "owner": None, "due_date": 5, "priority": "URGENT"},
                {"item": "stay", "priority": " High"},
                {"item": "wait", "priority": None},
            ],
            "anything": "else",
        }
    )
    assert answer.summary == "Talk."
    assert answer.topics == ()
    assert [item.owner for item in answer.action_items] == ["", "", ""]
    assert [item.priority for item in answer.action_items] == ["medium", "high", "medium"]


def test_confidence_is_from_nothing_to_one():
    def sure(value):
        return topics.LabelAnswer.model_validate({"name": "a", "confidence": value}).confidence

    assert [sure(value) for value in (0.4, 95, -1, 700)] == [0.4, 0.95, 0.0, 1.0]
