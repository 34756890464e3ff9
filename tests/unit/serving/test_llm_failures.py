"""Verdicts on providers' failures: which error, which pause, and no key in any text."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cluster.settings import LanguageSettings, LlmProvider
from serving import errors
from serving.language import LlmConnection
from serving.providers.base import Tries
from serving.providers.failures import Failures, Told, Verdict
from serving.providers.redaction import WINDOW, redacted

KEY = "sk-or-v1-0123456789abcdef"
CONNECTION = LlmConnection(LlmProvider.custom, "m-1", 4096, api_key=SecretStr(KEY))
FAILURES = Failures(CONNECTION)
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=60)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (Told(401, f"wrong: {KEY}"), errors.LlmUnauthorised),
        (Told(403, "not in this country"), errors.LlmUnauthorised),
        (Told(403, "flagged", ("content_filter",)), errors.LlmRefused),
        (Told(404, "no such model"), errors.LlmFailed),
        (Told(402, "pay first"), errors.LlmFailed),
        (Told(429, "slowly"), errors.LlmRateLimited),
        (Told(429, "no quota", ("insufficient_quota",)), errors.LlmFailed),
        (Told(408), errors.LlmUnavailable),
        (Told(409), errors.LlmUnavailable),
        (Told(500, "oops"), errors.LlmUnavailable),
        (Told(529, "overloaded"), errors.LlmUnavailable),
        (Told(500, "the input length exceeds the context length"), errors.ContextExceeded),
        (Told(413, "Request Entity Too Large"), errors.ContextExceeded),
        (Told(400, "prompt is too long: 5 tokens > 4 maximum"), errors.ContextExceeded),
        (Told(400, "request exceeds the available context size"), errors.ContextExceeded),
        (Told(400, "", ("context_length_exceeded",)), errors.ContextExceeded),
        (Told(400, "max_tokens is too large"), errors.LlmFailed),
        (Told(302), errors.LlmFailed),
        (Told(None, "", ("overloaded_error",)), errors.LlmUnavailable),
        (Told(None, "", ("429",)), errors.LlmRateLimited),
        (Told(None, "", ("server_error",)), errors.LlmUnavailable),
    ],
)
def test_what_an_answer_means(told, error):
    verdict = FAILURES.of_answer(told)
    assert type(verdict.error) is error
    assert KEY not in verdict.error.message
    assert verdict.error.message.startswith("OpenAI-compatible server (m-1) ")


@pytest.mark.parametrize("status", [400, 422])
def test_only_a_request_that_is_not_taken_may_be_put_otherwise(status):
    assert FAILURES.of_answer(Told(status, "unknown parameter")).rejected
    assert not FAILURES.of_answer(Told(status, "maximum context length is 5")).rejected
    assert not FAILURES.of_answer(Told(status, "no", ("content_filter",))).rejected
    assert not FAILURES.of_answer(Told(404, "no")).rejected


def asked_pause(**headers) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return FAILURES.of_answer(Told(429, "", (), named)).pause_seconds


def test_how_long_a_provider_wants_to_be_left_alone():
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert asked_pause(retry_after="20") == 20
    assert asked_pause(retry_after="1.5") == 1.5
    assert asked_pause(retry_after_ms="250", retry_after="9") == 0.25
    assert 85 < asked_pause(retry_after=format_datetime(later)) <= 90
    assert asked_pause(retry_after=format_datetime(later - timedelta(days=1))) == 0
    for nonsense in ("", "soon", "-5", "nan", "inf", "Tue, 99 Foo 2026", "1e9999"):
        assert asked_pause(retry_after=nonsense) is None


@given(
    st.none() | st.floats(0, 1e6),
    st.floats(0.01, 100),
    st.integers(0, 12),
)
async def test_a_pause_is_as_long_as_asked_and_never_longer_than_the_setting(asked, most, made):
    tries = Tries(LanguageSettings(max_retry_seconds=most), CONNECTION)
    tries._made = made + 1
    seconds = tries._seconds(Verdict(errors.LlmRateLimited(), asked))
    assert seconds <= most
    wanted = 0.5 * 2**made if asked is None else asked
    assert seconds >= min(wanted, most)


async def test_there_is_no_other_try_when_it_would_come_too_late():
    tries = Tries(LanguageSettings(call_seconds=5, max_retry_seconds=60, retries=9), CONNECTION)
    with pytest.raises(errors.LlmRateLimited):
        await tries.pause(Verdict(errors.LlmRateLimited(), 6))


@given(st.text(max_size=80), KEYS, st.text(max_size=80))
def test_a_key_in_a_text_is_not_shown(before, key, after):
    shown = redacted(f"{before} key={key}, {after}", key)
    parts = (key[start : start + WINDOW] for start in range(len(key) - WINDOW + 1))
    # What stands around the key may itself look like a part of it only where it is one.
    assert not any(part in shown for part in parts if part.isalnum())


@given(st.from_regex(r"[A-Za-z0-9_-]{12,60}", fullmatch=True), st.data())
def test_a_part_of_a_key_is_not_shown(key, data):
    start = data.draw(st.integers(0, len(key) - WINDOW))
    part = key[start : start + data.draw(st.integers(WINDOW, len(key)))]
    assert part not in redacted(f"Incorrect API key provided: {part}***.", key)
    assert part.upper() not in redacted(f"key {part.upper()}", key)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-ghi was refused",
        "wrong key sk-proj-99887766554433",
        "token hf_abcdefghijkl is unknown",
    ],
)
def test_what_looks_like_somebodys_key_is_not_shown_either(text):
    assert "[key]" in redacted(text, None)


def test_a_text_stays_readable_and_is_cut():
    assert redacted("The model `m`  does\nnot exist.", KEY) == "The model `m` does not exist."
    assert redacted("the empty key", "x") == "the empty key"
    assert len(redacted("word " * 10_000, KEY)) < 310
