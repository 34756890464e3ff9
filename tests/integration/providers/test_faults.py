"""How calls of every provider end when something goes wrong: one error for each, as documented."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving.errors import (
    ContextExceeded,
    LlmFailed,
    LlmRateLimited,
    LlmRefused,
    LlmUnauthorised,
    LlmUnavailable,
)
from serving.language import Generation
from tests.fixtures.llm_servers import CONTEXT, TEXT, LlmServer
from tests.fixtures.llm_wires import WIRES
from tests.integration.providers.test_conformance import PROVIDERS, asking

TRIES = 3
"""The first and two repetitions."""
BROKEN = ("cut", "ended", "garbage", "busy halfway")


@dataclass(frozen=True)
class Ending:
    """A fault for ever, and how it ends."""

    kind: str
    error: type[Exception]
    tries: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    text: str = ""


ENDINGS = [
    Ending("busy", LlmRateLimited, TRIES, text="wants fewer calls"),
    Ending("down", LlmUnavailable, TRIES, text="failed"),
    Ending("silent", LlmUnavailable, TRIES, {"first_token_seconds": 0.1}, "was silent for 0.1"),
    Ending("stalled", LlmUnavailable, TRIES, {"idle_seconds": 0.1}, "was silent for 0.1"),
    Ending("cut", LlmUnavailable, TRIES, text="broke off"),
    Ending("ended", LlmUnavailable, TRIES, text="broke off"),
    Ending("garbage", LlmUnavailable, TRIES, text="cannot be read"),
    Ending("wrong key", LlmUnauthorised, text="does not take the key"),
    Ending("unknown model", LlmFailed),
    Ending("context", ContextExceeded, text="cannot take so long a text"),
    Ending("credit", LlmFailed),
    Ending("bad request", LlmFailed, text="HTTP 400"),
    Ending("huge", LlmFailed, settings={"max_response_bytes": 20_000}, text="too large"),
]


@pytest.fixture(params=PROVIDERS)
def server(request, llm_servers) -> LlmServer:
    return llm_servers.of[request.param]


def halfway(server: LlmServer, kind: str) -> type[Exception]:
    """How a broken stream ends: Ollama has no word for what happens in the middle of one."""
    busy = kind == "busy halfway" and server.wire.provider != "ollama"
    return LlmRateLimited if busy else LlmUnavailable


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.kind)
async def test_a_failure_that_stays_ends_as_documented(server, ending):
    if ending.kind == "credit" and server.wire.provider == "vllm":
        pytest.skip("one's own server sells nothing")
    server.fail(ending.kind, always=True)
    model = server.model(**ending.settings)
    with pytest.raises(ending.error) as failed:
        await model.generate(asking())
    await model.close()
    assert type(failed.value) is ending.error
    assert len(server.chats) == ending.tries
    message = failed.value.message
    assert ending.text in message
    assert "(tester-1)" in message
    assert server.origin not in message


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_stream_that_breaks_for_ever_ends_as_documented(server, kind):
    server.fail(kind, always=True, after=3)
    model = server.model()
    with pytest.raises(halfway(server, kind)):
        await model.generate(asking())
    await model.close()
    assert len(server.chats) == TRIES


@pytest.mark.parametrize("kind", ["busy", "down", *BROKEN])
@pytest.mark.parametrize(
    "said", [{"Retry-After": "1"}, {"Retry-After": "Tue, 01 Dec 2099 00:00:00 GMT"}, {}]
)
async def test_a_failure_that_passes_is_not_seen(server, kind, said):
    server.fail(kind, headers=said)
    model = server.model()
    whole = await model.generate(asking())
    await model.close()
    assert whole.text == "".join(TEXT)
    assert whole.usage.calls == 1
    assert len(server.chats) == 2


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_stream_that_has_begun_is_not_begun_again(server, kind):
    server.fail(kind, after=2)
    model = server.model()
    pieces = []
    with pytest.raises(halfway(server, kind)):
        async for piece in model.stream(asking()):
            pieces.append(piece)  # noqa: PERF401 - it ends with an error
    await model.close()
    assert pieces == list(TEXT[:2])
    assert len(server.chats) == 1


@pytest.mark.parametrize("kind", ["busy", "down"])
async def test_a_stream_that_has_not_begun_is_asked_for_again(server, kind):
    server.fail(kind)
    model = server.model()
    *pieces, whole = [item async for item in model.stream(asking())]
    await model.close()
    assert pieces == list(TEXT)
    assert isinstance(whole, Generation)


@pytest.mark.parametrize(
    ("provider", "how"), [(wire.provider.value, how) for wire in WIRES for how in wire.refusals]
)
async def test_a_refusal_is_said_and_not_asked_about_again(llm_servers, provider, how):
    server = llm_servers.of[provider]
    server.fail(how)
    model = server.model()
    with pytest.raises(LlmRefused, match="will not answer this"):
        await model.generate(asking())
    await model.close()
    assert len(server.chats) == 1


@pytest.mark.parametrize("target", ["{origin}/elsewhere/v1/chat", "https://example.org/", "/v2"])
async def test_a_redirect_is_not_followed_and_takes_no_key_along(llm_servers, server, target):
    server.fail("redirect", always=True, target=target.format(origin=llm_servers.origin))
    model = server.model()
    calls = (lambda: model.generate(asking()), model.models)
    for call in calls:
        with pytest.raises(LlmFailed, match="leads elsewhere"):
            await call()
    await model.close()
    assert len(server.asked) == len(calls)
    assert llm_servers.elsewhere == []


@pytest.mark.parametrize(
    "base_url",
    ["http://10.1.2.3/v1", "http://169.254.169.254/v1", "http://127.0.0.1:9/v1", "http://[::1]/v1"],
)
async def test_a_private_address_is_refused_at_once(server, base_url):
    model = server.model(server.connection(base_url=base_url))
    for call in (lambda: model.generate(asking()), model.models):
        with pytest.raises(LlmFailed, match=r"cannot be asked: .*(public|reached)"):
            await call()
    await model.close()
    assert server.asked == []


async def test_a_page_in_place_of_an_answer_is_no_answer(server):
    server.fail("page", always=True)
    model = server.model()
    with pytest.raises((LlmFailed, LlmUnavailable)):
        await model.generate(asking())
    with pytest.raises((LlmFailed, LlmUnavailable)):
        await model.models()
    await model.close()


async def test_a_call_ends_when_it_takes_too_long_in_all(server):
    server.fail("stalled", always=True)
    model = server.model(call_seconds=0.2, retries=1000)
    with pytest.raises(LlmUnavailable):
        await model.generate(asking())
    await model.close()
    assert len(server.chats) == 1


async def test_whoever_stops_reading_ends_the_call(server):
    server.fail("stalled", after=2)
    model = server.model()
    stream = model.stream(asking())
    assert await anext(stream) == TEXT[0]
    await stream.aclose()
    call = asyncio.create_task(model.generate(asking()))
    server.fail("silent")
    while len(server.chats) < 2:
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await model.close()


@pytest.mark.parametrize(
    ("prompt_tokens", "pieces"), [(CONTEXT, TEXT), (CONTEXT + 5, TEXT), (CONTEXT - 5, ["a "] * 10)]
)
async def test_a_text_that_ollama_has_cut_in_silence_is_not_answered(
    llm_servers, prompt_tokens, pieces
):
    server = llm_servers.of["ollama"]
    server.prompt_tokens, server.pieces = prompt_tokens, tuple(pieces)
    model = server.model()
    with pytest.raises(ContextExceeded, match="has cut the text"):
        await model.generate(asking())
    await model.close()
    assert len(server.chats) == 1


@pytest.mark.parametrize("kind", ["busy", "down"])
async def test_short_calls_are_repeated_too(server, kind):
    server.fail(kind)
    model = server.model()
    assert await model.models() == ["tester-1"]
    if server.wire.counting:
        server.fail(kind)
        assert await model.count_tokens(["one two"]) == [2]
    await model.close()


async def test_a_server_that_is_silent_about_its_models_is_given_up(server):
    server.fail("silent", always=True)
    model = server.model(idle_seconds=0.1)
    with pytest.raises(LlmUnavailable, match="was silent"):
        await model.models()
    await model.close()
    assert len(server.asked) == TRIES
