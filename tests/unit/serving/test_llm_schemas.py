"""JSON schemas for strict modes: everything is required, and what fits them fits the original."""

from enum import StrEnum

import jsonschema
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from serving.language import ChatMessage, ChatRole
from serving.providers.schemas import is_open, strict, with_schema


class Kind(StrEnum):
    call = "call"
    mail = "mail"


class Person(BaseModel):
    """Somebody."""

    name: str
    default: str = "a property may be called so"


class Task(BaseModel):
    owner: Person = Field(description="Who does it")
    due: str | None = None
    kind: Kind = Kind.call
    helpers: list[Person] = []


class Labelled(BaseModel):
    model_config = ConfigDict(extra="forbid")
    labels: dict[str, int]


SCHEMA = Task.model_json_schema()
MADE = strict(SCHEMA)


def objects(schema):
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


def test_every_object_is_closed_and_complete():
    found = list(objects(MADE))
    assert len(found) == 2
    for one in found:
        assert one["required"] == list(one["properties"])
        assert one["additionalProperties"] is False
    assert MADE["$defs"]["Person"]["properties"].keys() == {"name", "default"}
    assert "default" not in MADE["properties"]["due"]


def test_nothing_stands_beside_a_reference():
    owner = MADE["properties"]["owner"]
    assert owner == {"description": "Who does it", "anyOf": [{"$ref": "#/$defs/Person"}]}
    assert MADE["properties"]["helpers"]["items"] == {"$ref": "#/$defs/Person"}


@given(
    st.builds(
        Task,
        owner=st.builds(Person, name=st.text(), default=st.text()),
        due=st.none() | st.text(),
        kind=st.sampled_from(Kind),
        helpers=st.lists(st.builds(Person, name=st.text(), default=st.text()), max_size=3),
    )
)
def test_what_fits_the_strict_schema_fits_the_original(task):
    answer = task.model_dump(mode="json")
    jsonschema.validate(answer, MADE)
    jsonschema.validate(answer, SCHEMA)


def test_it_is_made_once():
    assert strict(MADE) == MADE


def test_properties_of_any_name_are_noticed():
    assert not is_open(SCHEMA)
    assert is_open(Labelled.model_json_schema())
    assert strict(Labelled.model_json_schema())["properties"]["labels"]["additionalProperties"]


def test_a_schema_in_words_joins_the_system_message_or_is_one():
    system = ChatMessage(ChatRole.system, "Take notes.")
    user = ChatMessage(ChatRole.user, "Hm.")
    joined = with_schema((system, user), {"type": "object"})
    assert joined[0].content.startswith("Take notes.\n\nAnswer with JSON")
    assert '{"type":"object"}' in joined[0].content
    alone = with_schema((user,), {"type": "object"})
    assert [message.role for message in alone] == [ChatRole.system, ChatRole.user]
