"""File names as display text, and HTTP ranges."""

import re
import unicodedata
from contextlib import suppress
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.headers import content_disposition
from api.streaming.ranges import Unsatisfiable, parse_range
from pipelines.names import MAX_CHARACTERS, display_name

anything = st.text(st.characters(), max_size=300)


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("talk.mp3", "talk.mp3"),
        ("", "unnamed"),
        (".", "unnamed"),
        ("/", "unnamed"),
        ("a/b/", "unnamed"),
        ("..\\..\\x.wav", "x.wav"),
        (".hidden", ".hidden"),
        ("  spaced  .wav ", "spaced  .wav"),
        ("e\u0301.wav", "é.wav"),
        ("a\0b\r\n.wav", "ab.wav"),
        ("\u202egnp.wav", "gnp.wav"),
        ("👩\u200d🏫.wav", "👩\u200d🏫.wav"),
        ("x" * 300, "x" * 255),
        ("x" * 300 + ".m4a", "x" * 251 + ".m4a"),
        ("x." + "y" * 300, "x." + "y" * 253),
    ],
)
def test_display_names(given_name, expected):
    assert display_name(given_name) == expected


@given(anything)
def test_any_name_can_be_stored_shown_and_sent(name):
    shown = display_name(name)
    assert 1 <= len(shown) <= MAX_CHARACTERS
    assert not re.search(r"[/\\\x00-\x1f]", shown)
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} for character in shown)
    assert display_name(shown) == shown
    header = content_disposition("attachment", shown)
    header.encode("latin-1")
    assert "\n" not in header
    assert unquote(header.rpartition("UTF-8''")[2]) == shown
    assert header.count('"') == 2


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_range_lies_inside_the_file(size, first, last):
    try:
        wanted = parse_range(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    if wanted is None:
        assert last < first
        return
    start, length = wanted
    assert start == first
    assert length == min(last, size - 1) - first + 1


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_suffix_is_the_end_of_the_file(size, suffix):
    wanted = parse_range(f"bytes=-{suffix}", size)
    assert wanted
    start, length = wanted
    assert start + length == size
    assert length == min(size, suffix)


@given(st.text(max_size=30))
def test_no_header_breaks_it(header):
    with suppress(Unsatisfiable):
        parse_range(header, 1000)
