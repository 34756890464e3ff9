"""Prompts: the system's, what is refused, and what takes the place of variables."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import ContentType
from pipelines.errors import PromptInvalid
from pipelines.language.prompts import (
    ALLOWED,
    REQUIRED,
    SYSTEM,
    SYSTEM_BY_ID,
    VARIABLES,
    Prompt,
    check,
    rendered,
)
from serving.providers.estimates import estimate

LONGEST_TOKENS = 150
NEEDED = "{transcript} {speaker_data}"


def prompt(text: str) -> Prompt:
    return Prompt(uuid.uuid4(), "mine", text, ContentType.general)


class TestSystem:
    def test_there_is_one_for_each_kind_of_recording(self):
        assert SYSTEM.keys() == set(ContentType)
        assert len(SYSTEM_BY_ID) == len({prompt.name for prompt in SYSTEM.values()}) == 5
        assert all(prompt.is_system and prompt.description for prompt in SYSTEM.values())

    def test_their_ids_never_change(self):
        assert {kind.value: str(prompt.id)[-2:] for kind, prompt in SYSTEM.items()} == {
            "general": "01",
            "meeting": "02",
            "interview": "03",
            "podcast": "04",
            "documentary": "05",
        }
        assert {str(key)[:-2] for key in SYSTEM_BY_ID} == {"5a1f0b52-7c0e-4e57-9a3d-0f6f6a2c1b"}

    @pytest.mark.parametrize("kind", ContentType)
    def test_they_can_be_used_and_leave_room_in_a_small_context(self, kind: ContentType):
        check(SYSTEM[kind].text)
        assert estimate(SYSTEM[kind].text) <= LONGEST_TOKENS

    def test_whatever_was_said_stands_in_what_is_asked(self):
        asked = rendered(
            SYSTEM[ContentType.meeting],
            transcript="Ada [00:01] {good} morning",
            speaker_data="Ada: 100 %",
            title="Board",
            duration="1:00",
        )
        assert "Ada [00:01] {good} morning" in asked
        assert "Title: Board\nLength: 1:00\nSpeakers: Ada: 100 %\n" in asked


class TestChecks:
    @pytest.mark.parametrize("missing", REQUIRED)
    def test_what_a_model_cannot_do_without(self, missing: str):
        with pytest.raises(PromptInvalid, match=f"lacks {{{missing}}}"):
            check(NEEDED.replace(f"{{{missing}}}", ""))

    @pytest.mark.parametrize(
        ("text", "shown", "place"),
        [
            ("{transkript}", "{transkript}", "line 1, character 1"),
            ("a {{b}} {c}", "{c}", "line 1, character 9"),
            ("one\ntwo {}", "{}", "line 2, character 5"),
            ("one\n\n{transcript.text}", "{transcript.text}", "line 3, character 1"),
            ("{transcript!r}", "{transcript!r}", "line 1, character 1"),
            ("{ transcript }", "{ transcript }", "line 1, character 1"),
            ('{"bluf": 1}', '{"bluf": 1}', "line 1, character 1"),
            ("a } b", "}", "line 1, character 3"),
            ("a { b", "{", "line 1, character 3"),
            ("{{{", "{", "line 1, character 3"),
            ("{" + "x" * 100 + "}", "{" + "x" * 39 + " ", "line 1, character 1"),
        ],
    )
    def test_what_is_no_variable_is_refused_with_its_place(self, text, shown, place):
        with pytest.raises(PromptInvalid) as refused:
            check(f"{text}\n{NEEDED}")
        message = str(refused.value)
        assert message.startswith(shown)
        assert place in message
        assert all(f"{{{name}}}" in message for name in ALLOWED)
        assert "{{ and }}" in message

    def test_doubled_braces_are_braces(self):
        text = 'Answer {{"bluf": "…"}} ' + NEEDED
        check(text)
        assert rendered(prompt(text), transcript="t", speaker_data="s").startswith(
            'Answer {"bluf": "…"} t s'
        )

    @given(st.text(), st.dictionaries(st.sampled_from(ALLOWED), st.text()))
    def test_any_text_can_be_written_and_any_value_filled_in(self, text, values):
        doubled = text.replace("{", "{{").replace("}", "}}")
        whole = doubled + "|".join(f"{{{name}}}" for name in ALLOWED)
        check(whole)
        filled = "|".join(values.get(name, "") for name in ALLOWED)
        assert rendered(prompt(whole), **values) == text + filled

    def test_a_name_that_is_no_variable_is_a_mistake_of_ours(self):
        with pytest.raises(TypeError, match="speakers"):
            rendered(prompt(NEEDED), speakers="x")

    def test_every_variable_is_explained(self):
        assert set(VARIABLES) == set(ALLOWED)
        assert all(VARIABLES.values())
