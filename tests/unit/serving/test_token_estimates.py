"""Estimates of tokens are rather too high, in any script, and not absurdly so."""

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from serving.language import ChatMessage, ChatRole
from serving.providers.estimates import estimate, estimate_prompt

ROOT = Path(__file__).parents[3]
ARTICLE: dict[str, str] = json.loads((ROOT / "tests/fixtures/languages.json").read_text())
FETCHED = [
    ROOT / "models" / name / "tokenizer.json"
    for name in ("whisper-base", "qwen2.5-coder-0.5b-instruct")
]
SENTENCES = [part for text in ARTICLE.values() for part in re.split(r"(?<=[.。।]) ", text)]
BETWEEN = st.sampled_from([" ", "\n", ", ", " - ", "\n\n", ": ", " 1999 ", " (12%) "])


@pytest.fixture(scope="module", params=FETCHED, ids=lambda path: path.parent.name)
def count(request):
    """Tokens by a real tokenizer."""
    if not request.param.exists():
        pytest.skip(f"{request.param.parent.name} is not fetched (`rayscribe models --fetch`)")
    tokenizer = Tokenizer.from_file(str(request.param))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("language", ARTICLE)
def test_no_language_is_underestimated_or_wildly_overestimated(count, language):
    text = ARTICLE[language]
    assert count(text) <= estimate(text) <= 3.5 * count(text)


@given(st.lists(st.tuples(st.sampled_from(SENTENCES), BETWEEN), min_size=3, max_size=12))
def test_mixed_texts_are_not_underestimated(count, parts):
    text = "".join(sentence + between for sentence, between in parts)
    assert count(text) <= estimate(text)


def test_a_blank_at_the_end_is_a_token(count):
    text = "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa. " * 3
    assert count(text) <= estimate(text)


@given(st.text())
def test_an_estimate_is_a_number_up_to_a_little_more_than_the_bytes(text):
    found = estimate(text)
    assert 0 <= found <= math.ceil(1.35 * len(text.encode("utf-8", "surrogatepass")))
    assert (found == 0) == (text == "")


@given(st.text(), st.text())
def test_what_is_added_makes_a_text_no_shorter_by_much(one, other):
    # Words of other languages can change what the whole is taken for.
    assert estimate(f"{one}\n{other}") >= 0.4 * estimate(one)


def test_english_is_estimated_tightly(count):
    text = ARTICLE["English"] + " So what we have to do is call them, and that was it, I think."
    assert count(text) <= estimate(text) <= 1.4 * count(text)


def test_messages_count_with_what_stands_around_them():
    message = ChatMessage(ChatRole.user, "Hello there")
    assert estimate_prompt([message, message]) > 2 * estimate("Hello there")
