"""The language model inside the cluster, over the handle of its Serve deployment."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import structlog

from cluster.settings import LanguageSettings
from serving.calling import named_after_task
from serving.errors import ContextExceeded, LlmFailed, SpeechError
from serving.language import Finish, Generation, GenerationRequest, LlmConnection, TokenUsage
from serving.providers.base import ProvidedModel
from serving.providers.failures import Verdict

log = structlog.get_logger(__name__)

T = TypeVar("T")

CONTEXT_EXCEEDED = "context_exceeded"


class Method(Protocol):
    """A method of a deployment."""

    def remote(self, *arguments: Any) -> Any:
        """Call it: something to await, or to read from."""
        ...


class LocalHandle(Protocol):
    """The handle of the deployment `LanguageModel`; plain dicts and strings cross it."""

    @property
    def generate(self) -> Method:
        """Chat messages to pieces of text, last the whole one."""
        ...

    @property
    def count_tokens(self) -> Method:
        """Texts to numbers."""
        ...

    @property
    def describe(self) -> Method:
        """What the model is."""
        ...

    def options(self, *, stream: bool) -> "LocalHandle":
        """The handle, for calls with many answers."""
        ...


class LocalModel(ProvidedModel):
    """The model inside the cluster; its guided decoding keeps to the schema."""

    def __init__(
        self, connection: LlmConnection, handle: LocalHandle, settings: LanguageSettings
    ) -> None:
        super().__init__(connection, settings)
        self._handle = handle

    async def models(self) -> list[str]:
        """The one model that there is."""

        async def described() -> list[str]:
            return [str((await _result(self._handle.describe.remote()))["model"])]

        return await self._asked(described)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's tokenizer."""

        async def ask() -> list[int]:
            counts: list[int] = await _result(self._handle.count_tokens.remote(list(texts)))
            return counts

        return await self._asked(ask)

    async def close(self) -> None:
        """Nothing is open."""

    async def _answer(
        self,
        request: GenerationRequest,
        *,
        guided: bool,  # noqa: ARG002 - it always is
    ) -> AsyncGenerator[str | Generation]:
        with named_after_task():
            items = self._handle.options(stream=True).generate.remote(_body(request))
        try:
            while True:
                try:
                    item = await _result(anext(items))
                except StopAsyncIteration:
                    return
                if "error" in item:
                    raise self._failed(item)
                yield _generation(item) if "finish" in item else str(item["text"])
        finally:
            items.cancel()

    def _failed(self, item: Mapping[str, Any]) -> SpeechError:
        kind = ContextExceeded if item["error"] == CONTEXT_EXCEEDED else LlmFailed
        return kind(str(item["message"]))

    def _verdict(self, error: Exception) -> Verdict:
        """Details stay in the log: they name hosts and paths, and the message is a user's."""
        from ray.exceptions import RayError, RayTaskError
        from ray.serve.exceptions import RayServeException

        if isinstance(error, RayTaskError):
            if isinstance(error.cause, SpeechError):
                return Verdict(error.cause)
            log.error("language model failed", error=str(error))
            return Verdict(LlmFailed(self._failures.message("failed; the operator's log says why")))
        if isinstance(error, RayError | RayServeException | _Cancelled):
            return self._failures.of_transport(error)
        return self._failures.of_error(error)


class _Cancelled(Exception):
    """The replica's side of a call was cancelled, which nobody here asked for."""


async def _result(call: Awaitable[T]) -> T:
    from ray.serve.exceptions import RequestCancelledError

    try:
        return await call
    except (asyncio.CancelledError, RequestCancelledError) as error:
        # Ray says by either that a call was cancelled, whoever did it.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
    raise _Cancelled


def _body(request: GenerationRequest) -> dict[str, Any]:
    return {
        "messages": [
            {"role": message.role.value, "content": message.content} for message in request.messages
        ],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        # As JSON has it: members of our enumerations would have their modules imported there.
        "schema": None if request.schema is None else json.loads(json.dumps(request.schema)),
    }


def _generation(item: Mapping[str, Any]) -> Generation:
    usage = TokenUsage(item["prompt_tokens"], item["completion_tokens"], calls=1)
    return Generation(str(item["text"]), Finish(item["finish"]), usage, str(item["model"]))
