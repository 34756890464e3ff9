"""Text that users send."""

import unicodedata
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from api.text import one_line, prose

NAME = TypeAdapter(
    Annotated[str, Field(min_length=1, max_length=50), one_line, Field(max_length=50)]
)
PROSE = TypeAdapter(Annotated[str, Field(max_length=50), prose, Field(max_length=50)])


def taken(adapter: TypeAdapter[str], text: str) -> str | None:
    try:
        return adapter.validate_python(text)
    except ValidationError:
        return None


@given(st.text(alphabet=st.characters(), max_size=60))
def test_what_is_taken_can_be_stored_and_is_taken_unchanged_again(text):
    for adapter in (NAME, PROSE):
        clean = taken(adapter, text)
        if clean is None:
            continue
        assert len(clean) <= 50
        assert clean == clean.strip() == unicodedata.normalize("NFC", clean)
        clean.encode()  # no lone surrogate
        assert not {"\0", "\x1b", "\x7f"} & set(clean)
        assert taken(adapter, clean) == clean
    name = taken(NAME, text)
    assert name is None or (name and len(name.splitlines()) == 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "a\0b",
        "a\nb",
        "a\tb",
        "a\x1b[31mb",
        "a\u2028b",
        "jpg.\u202eexe",
        "\ud800",
        "x" * 51,
        "\ufb2d" * 20,  # composed, it is three characters each
    ],
)
def test_names_that_are_refused(text):
    assert taken(NAME, text) is None


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  interview ", "interview"),
        ("cafe\u0301", "caf\u00e9"),
        ("שלום עולם", "שלום עולם"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
    ],
)
def test_names_that_are_taken(text, clean):
    assert taken(NAME, text) == clean


def test_prose_keeps_its_lines():
    assert taken(PROSE, "\n one\r\n\ttwo \n") == "one\r\n\ttwo"
    assert taken(PROSE, "") == ""
