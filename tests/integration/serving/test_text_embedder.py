"""Text embeddings over a Serve handle: in order, of one model, and queries before passages."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ray import serve

from cluster.settings import Settings
from serving import assembly
from serving.arguments import SpeechArguments, speech_arguments
from serving.client import TEXTS, ServeTextEmbedder
from serving.deployments.text_embedder import TextEmbedder
from serving.engines.fake_text import DIMENSION, FakeTextEmbedder
from serving.errors import SpeechUnavailable
from serving.inprocess import InProcessTextEmbedder
from serving.ports import TextEmbeddings

BATCH = 8


@pytest.fixture(scope="module")
def arguments() -> SpeechArguments:
    settings = Settings()
    settings.speech = settings.speech.model_copy(update={"engines": "fake"})
    return replace(speech_arguments(settings, 0), text_batch_size=BATCH)


def port(kind: Callable[..., Any], *arguments: Any) -> ServeTextEmbedder:
    """The port over a deployment of this kind."""
    application = serve.deployment(name="TextEmbedder")(kind).bind(*arguments)
    handle = serve.run(application, name=f"text-{uuid.uuid4().hex}", _local_testing_mode=True)
    return ServeTextEmbedder(handle, "TextEmbedder", 10)


async def test_many_texts_have_the_vectors_that_they_have_in_process(arguments):
    texts = [f"text number{number}" for number in range(2 * TEXTS + 3)]
    served = port(TextEmbedder, arguments)
    found = await served.embed(texts)
    wanted = await InProcessTextEmbedder(FakeTextEmbedder(), "fake").embed(texts)
    assert found.model == wanted.model == "fake"
    np.testing.assert_array_equal(found.vectors, wanted.vectors)
    stats = await served._call("stats")
    assert (stats["model"], stats["text_model"]) == ("fake", "fake")
    assert stats["embed"]["items"] == stats["embed"]["waits"]["bulk"]["items"] == len(texts)
    assert stats["embed"]["batches"] < len(texts) / 4


async def test_of_none_one_learns_the_model_and_its_dimension(arguments):
    found = await port(TextEmbedder, arguments).embed([])
    assert (found.model, found.vectors.shape) == ("fake", (0, DIMENSION))
    assert found.vectors.dtype == np.float32


class Journal(FakeTextEmbedder):
    """Writes down its batches; the first one takes until it is told to end."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun, self.may_end = threading.Event(), threading.Event()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.batches.append(list(texts))
        if len(self.batches) == 1:
            self.begun.set()
            self.may_end.wait(10)
        return super().embed(texts)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    made = Journal()
    monkeypatch.setitem(assembly.BUILDERS, "text_embedder", lambda _: made)
    yield made
    made.may_end.set()


async def test_a_query_waits_for_one_batch_of_passages_at_most(arguments, journal):
    served = port(TextEmbedder, arguments)
    passages = asyncio.create_task(served.embed([f"passage {n}" for n in range(5 * BATCH)]))
    assert await asyncio.to_thread(journal.begun.wait, 10)
    query = asyncio.create_task(served.embed(["query"]))
    # Until it has reached the replica, which has a loop of its own.
    await asyncio.sleep(0.3)
    journal.may_end.set()
    assert (await query).vectors.shape == (1, DIMENSION)
    await passages
    assert journal.batches.index(["query"]) == 1
    assert sum(map(len, journal.batches)) == 5 * BATCH + 1


class Changing:
    """Each call is answered by another model."""

    def __init__(self) -> None:
        self.calls = 0

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        self.calls += 1
        return TextEmbeddings(f"model {self.calls}", np.zeros((len(texts), 2), dtype=np.float32))


async def test_vectors_of_two_models_are_not_mixed():
    served = port(Changing)
    assert (await served.embed(["one"])).model == "model 1"
    with pytest.raises(SpeechUnavailable, match="TextEmbedder is changing its model"):
        await served.embed(["many"] * (TEXTS + 1))


class Broken:
    """Answers no call but those of few texts."""

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        if len(texts) < TEXTS:
            raise SpeechUnavailable("Not now.")
        return TextEmbeddings("model", np.zeros((len(texts), 2), dtype=np.float32))


async def test_one_call_that_fails_is_the_failure_of_all():
    with pytest.raises(SpeechUnavailable, match="Not now"):
        await port(Broken).embed(["many"] * (TEXTS + 1))
