"""A key is nowhere but in the header of a request, however the provider fails and echoes it."""

import contextlib
import io
import logging
import traceback

import pytest
import structlog
from structlog.testing import capture_logs

from cluster.settings import LlmProvider
from serving.errors import LlmFailed, LlmUnauthorised, SpeechError
from serving.providers.known import KNOWN
from tests.fixtures.llm_servers import KEY, LlmServer
from tests.integration.providers.test_conformance import PROVIDERS, SCHEMA, asking

FAULTS = [
    *("busy", "down", "wrong key", "unknown model", "context", "credit", "bad request"),
    *("cut", "ended", "garbage", "busy halfway", "redirect", "page", "huge"),
]
PART = 8
"""So many characters of it in a row are as bad as the whole."""


def leaks(text: str) -> list[str]:
    """Parts of the key in a text."""
    parts = {KEY[start : start + PART] for start in range(len(KEY) - PART + 1)}
    return [part for part in parts if part in text]


def all_of(error: BaseException) -> str:
    """Whatever can be printed of an error, of its causes and of what happened before."""
    printed = "".join(traceback.TracebackException.from_exception(error).format(chain=True))
    told = [printed]
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told += [str(one), repr(one), repr(one.args), repr(vars(one))]
        waiting += [one.__cause__, one.__context__]
    return "\n".join(told)


@pytest.fixture(params=PROVIDERS)
def server(request, llm_servers) -> LlmServer:
    return llm_servers.of[request.param]


@pytest.fixture
def logged():
    """Everything that any library logs, at its most talkative."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    chatty = [root, *map(logging.getLogger, ("openai", "anthropic", "httpx", "httpx2", "httpcore"))]
    before = [(logger, logger.level) for logger in chatty]
    for logger in chatty:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)
    for logger, level in before:
        logger.setLevel(level)


@pytest.mark.parametrize("kind", FAULTS)
async def test_no_failure_tells_the_key(server, logged, kind, capsys):
    server.fail(kind, always=True, target="https://example.org/")
    model = server.model(max_response_bytes=20_000)
    told = [repr(model), str(model), repr(model.connection), repr(vars(model))]
    with capture_logs() as events:
        for call in (
            lambda: model.generate(asking(schema=SCHEMA)),
            lambda: anext(model.stream(asking())),
            model.models,
            lambda: model.count_tokens(["a text"]),
        ):
            # Some of these succeed: a cut stream leaves the list of models alone.
            with contextlib.suppress(StopAsyncIteration):
                try:
                    told.append(repr(await call()))
                except SpeechError as error:
                    told.append(all_of(error))
    await model.close()
    assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in server.asked)
    everything = "\n".join([*told, repr(events), logged.getvalue(), *capsys.readouterr()])
    assert "tester-1" in everything
    assert leaks(everything) == []


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} ", f"{KEY}…", "\x00" + KEY, "ключ"])
async def test_a_key_that_cannot_be_sent_is_not_told_either(server, logged, key):
    from pydantic import SecretStr

    with pytest.raises(LlmUnauthorised) as refused:
        server.model(server.connection(api_key=SecretStr(key)))
    assert key.strip() not in all_of(refused.value)


@pytest.mark.parametrize("provider", [name for name in LlmProvider if KNOWN[name].needs_key])
@pytest.mark.parametrize("key", [None, ""])
def test_a_provider_that_needs_a_key_is_not_asked_without_one(llm_servers, provider, key):
    from pydantic import SecretStr

    server = llm_servers.of[provider]
    with pytest.raises(LlmUnauthorised, match="needs a key"):
        server.model(server.connection(api_key=None if key is None else SecretStr(key)))


@pytest.mark.parametrize(
    "base_url",
    [
        f"http://user:{KEY}@models.example/v1",
        f"http://{KEY}@models.example/v1",
        f"https://models.example/v1?key={KEY}",
        f"https://models.example/v1#{KEY}",
        f"ftp://{KEY}.example/",
        f"http://[{KEY}/",
        f"{KEY}",
        "http://",
    ],
)
def test_an_address_with_more_in_it_is_refused_and_not_told(server, base_url):
    with pytest.raises(LlmFailed, match="The address of") as refused:
        server.model(server.connection(base_url=base_url))
    assert leaks(all_of(refused.value)) == []


def test_an_address_that_is_missing_is_asked_for(server):
    known = KNOWN[server.wire.provider]
    if known.base_url is None:
        with pytest.raises(LlmFailed, match="It is not said where"):
            server.model(server.connection(base_url=None))
    else:
        server.model(server.connection(base_url=None))
    assert known.needs_base_url == (known.base_url is None)


def test_the_search_for_the_key_finds_it():
    assert leaks(f"Bearer {KEY}")
    assert leaks(KEY[:9] + "***")
    assert structlog.get_logger() is not None
