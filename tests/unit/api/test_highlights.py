"""Pieces of texts with marks around what was looked for, safe as HTML."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from api.summarization.highlights import MOST, highlights
from db.vocabulary import question

words = st.text(alphabet="ab<>&'\" .äß予算\n", max_size=300)


@given(words, st.text(alphabet="abäß予算 ", min_size=1, max_size=8))
def test_only_marks_are_html(text, wanted):
    if question(wanted) is None:
        return
    for piece in highlights(text, wanted):
        inner = re.sub(r"</?mark>", "", piece)
        assert not re.search(r"[<>\"']", inner)
        assert piece.count("<mark>") == piece.count("</mark>") >= 1
        # Blanks are one each.
        assert html.unescape(inner).strip("…") in re.sub(r"\s+", " ", text)


def test_words_and_what_begins_with_them():
    assert highlights("The budgets of Bergen.", "budget bergen") == [
        "The <mark>budgets</mark> of <mark>Bergen</mark>."
    ]
    assert highlights("A low budget.", "udget") == []


def test_long_lines_are_cut_at_words():
    text = f"{'before ' * 40}the Orion probe {'behind ' * 40}".strip()
    [piece] = highlights(text, "orion")
    assert piece.startswith("…before")
    assert piece.endswith("behind…")
    assert "<mark>Orion</mark>" in piece
    assert len(piece) < 280


def test_a_letter_begins_words_too():
    """The search of summaries finds by it."""
    assert highlights("The budget.", "b") == ["The <mark>budget</mark>."]


def test_so_many_lines():
    assert len(highlights("\n".join(["Orion."] * 9), "orion")) == MOST
