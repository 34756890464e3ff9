"""What of a text is shown, and that none of it is HTML but the marks."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.marking import WIDTH, folded, holds, marked, snippet, spans_of

TEXT = "The launch of the Café moves. Launching is late; R&D <knows> why."


def found(text: str, *wanted: str) -> list[str]:
    return [text[start:end] for start, end in spans_of(text, wanted)]


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        (TEXT, ("launch",), ["launch", "Launching"]),
        (TEXT, ("cafe",), ["Café"]),
        (TEXT, ("CAFÉ",), ["Café"]),
        (TEXT, ("is",), ["is"]),
        (TEXT, ("aunch",), []),
        (TEXT, ("the launch",), ["The", "launch", "the", "Launching"]),
        ("新しい発売日は四月です", ("発売日",), ["発売日"]),
        ("한국어 회의", ("회의",), ["회의"]),
        ("موعد الاجتماع القادم", ("الاجتماع",), ["الاجتماع"]),
        ("Straße", ("straße",), ["Straße"]),
        (TEXT, ("👍", "?"), []),
        (TEXT, (), []),
    ],
)
def test_spans(text: str, wanted: tuple[str, ...], expected: list[str]):
    assert found(text, *wanted) == expected


def test_folding_moves_nothing():
    text = "ﬁn Ⅻ İstanbul ß がぎ 한국 ①é"
    assert len(folded(text)) == len(text)
    assert folded("ÀÉ") == "ae"
    assert folded("が") != folded("か")
    assert folded("한") != folded("하")


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("The launch date, moved.", "Launch date", True),
        ("The launch-date moved", "launch date", True),
        ("The launch\ndate moved", "launch date", True),
        ("The launch of the date", "launch date", False),
        ("A prelaunch date", "launch date", False),
        ("新しい発売日は", "発売日", True),
        ("café au lait", "cafe au", True),
    ],
)
def test_phrases(text: str, phrase: str, expected: bool):
    assert holds(text, phrase) is expected


def test_all_but_the_marks_is_escaped():
    assert marked(TEXT, spans_of(TEXT, ("knows", "launch"))) == (
        "The <mark>launch</mark> of the Café moves. <mark>Launching</mark> is late; "
        "R&amp;D &lt;<mark>knows</mark>&gt; why."
    )


def test_a_snippet_is_where_most_matches():
    text = f"budget {'x ' * 300}budget and launch and date {'y ' * 300}"
    piece = snippet(text, spans_of(text, ("budget", "launch", "date")))
    assert piece.count("<mark>") == 3
    assert piece.startswith("…x ")
    assert piece.endswith("y…")


def test_a_snippet_without_marks_is_the_beginning():
    assert snippet("short\ntext", []) == "short text"
    piece = snippet("word " * 100, [])
    assert piece.startswith("word word")
    assert piece.endswith("word…")
    assert len(piece) <= WIDTH + 1


@given(st.text(max_size=2000), st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_snippets_of_anything(text: str, wanted: list[str]):
    piece = snippet(text, spans_of(text, wanted))
    bare = re.sub("</?mark>", "", piece)
    assert "<" not in bare
    assert ">" not in bare
    assert html.unescape(bare).strip("…") in re.sub(r"\s+", " ", text)
    assert piece.count("<mark>") == piece.count("</mark>")
    if spans_of(text, wanted):
        assert "<mark>" in piece
