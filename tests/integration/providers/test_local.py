"""The language model inside the cluster, over a Serve handle: answers, and what can go wrong."""

import asyncio
import uuid
from enum import StrEnum

import pytest
from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError

from cluster.settings import EgressSettings, LanguageSettings, LlmProvider
from serving.errors import ContextExceeded, LlmFailed, LlmUnavailable
from serving.language import Finish, Generation, LlmConnection, TokenUsage
from serving.providers.connect import connect
from tests.integration.providers.test_conformance import MESSAGES, SCHEMA, asking

PIECES = ("Es ist ", "vereinbart.")
CONTEXT = 300


class Scripted:
    """Speaks as the deployment does; what it says goes by the last message."""

    def __init__(self):
        self.asked = []
        self.failures = 0

    async def generate(self, request):
        self.asked.append(request)
        for piece in PIECES:
            yield {"text": piece}
        yield {
            "text": "".join(PIECES),
            "finish": "length" if request["max_tokens"] == 7 else "stop",
            "prompt_tokens": 11,
            "completion_tokens": 3,
            "model": "scripted",
        }

    async def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    async def describe(self):
        return {"model": "scripted", "context_tokens": CONTEXT}

    async def last(self):
        return self.asked[-1]


class TooLong(Scripted):
    async def generate(self, request):
        yield {"error": "context_exceeded", "message": "The prompt has 400 tokens."}


class BreaksOff(Scripted):
    async def generate(self, request):
        yield {"text": "Es "}


class Dies(Scripted):
    """Answers when it is asked again."""

    async def generate(self, request):
        self.failures += 1
        yield {"text": "Es "}
        if self.failures < 3:
            raise ActorDiedError
        async for item in super().generate(request):
            yield item


class Fails(Scripted):
    async def generate(self, request):
        yield {"text": "Es "}
        raise RayTaskError(
            "generate", "at /secret/path", ValueError("secret")
        ).as_instanceof_cause()


class Says(Scripted):
    async def generate(self, request):
        if request["max_tokens"]:
            cause = ContextExceeded("It says so itself.")
            raise RayTaskError("generate", "", cause).as_instanceof_cause()
        yield {}


class Nonsense(Scripted):
    async def generate(self, request):
        yield ["what is this?"]


class Stands(Scripted):
    async def generate(self, request):
        await asyncio.Event().wait()
        yield {}


def opened(kind=Scripted, **settings):
    """The port over a deployment of this kind, and its handle."""
    application = serve.deployment(name="LanguageModel")(kind).bind()
    name = f"language-{uuid.uuid4().hex}"
    handle = serve.run(application, name=name, _local_testing_mode=True)
    connection = LlmConnection(LlmProvider.local, "scripted", CONTEXT)
    quick = {"max_retry_seconds": 0.01, "retries": 2}
    language = LanguageSettings(**{**quick, **settings})
    return connect(connection, EgressSettings(), language, local=handle), handle


async def test_an_answer_comes_piece_by_piece_and_then_whole():
    model, handle = opened()
    *pieces, whole = [item async for item in model.stream(asking(schema=SCHEMA))]
    assert pieces == list(PIECES)
    usage = TokenUsage(11, 3, 1)
    assert whole == Generation("".join(PIECES), Finish.stop, usage, "scripted")
    assert await model.generate(asking()) == whole
    assert (await model.generate(asking(max_tokens=7))).finish is Finish.length
    assert await handle.last.remote() == {
        "messages": [{"role": m.role.value, "content": m.content} for m in MESSAGES],
        "max_tokens": 7,
        "temperature": 0.2,
        "schema": None,
    }


class Colour(StrEnum):
    red = "red"


async def test_what_crosses_the_handle_is_plain():
    """The replica's environment has none of our modules: pickled, a member imports its own."""
    model, handle = opened()
    schema = {"type": "string", "enum": [Colour.red]}
    await model.generate(asking(schema=schema))
    [value] = (await handle.last.remote())["schema"]["enum"]
    assert type(value) is str


async def test_it_counts_by_its_own_tokenizer_and_says_what_it_is():
    model, _ = opened()
    assert await model.count_tokens(["one two", "", "three"]) == [2, 0, 1]
    assert await model.models() == ["scripted"]


async def test_a_replica_that_dies_is_followed_by_another_one():
    model, _ = opened(Dies)
    assert (await model.generate(asking())).text == "".join(PIECES)
    broken, _ = opened(Dies)
    with pytest.raises(LlmUnavailable):
        [item async for item in broken.stream(asking())]


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        (TooLong, ContextExceeded, "The prompt has 400 tokens."),
        (BreaksOff, LlmUnavailable, "broke off"),
        (Fails, LlmFailed, "the operator's log says why"),
        (Says, ContextExceeded, "It says so itself."),
        (Nonsense, LlmFailed, "not its protocol's"),
    ],
)
async def test_what_goes_wrong_ends_as_documented(kind, error, text):
    model, _ = opened(kind)
    with pytest.raises(error, match=text) as failed:
        await model.generate(asking())
    assert type(failed.value) is error
    assert "secret" not in failed.value.message


async def test_a_replica_that_says_nothing_is_given_up():
    model, _ = opened(Stands, first_token_seconds=0.1, retries=0)
    with pytest.raises(LlmUnavailable, match="was silent"):
        await model.generate(asking())


def test_without_a_model_inside_the_cluster_there_is_none():
    connection = LlmConnection(LlmProvider.local, "scripted", CONTEXT)
    with pytest.raises(LlmFailed, match="no language model inside"):
        connect(connection, EgressSettings(), LanguageSettings())
