"""OpenAI's chat completions by the official client: OpenAI, vLLM servers, OpenRouter, others."""

import re
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from cluster.settings import LanguageSettings, LlmProvider
from serving.errors import LlmRefused, LlmUnavailable
from serving.language import Finish, Generation, GenerationRequest, LlmConnection
from serving.providers.base import Client, Collected, ProvidedModel
from serving.providers.counting import counted
from serving.providers.failures import Told, Verdict
from serving.providers.outgoing import Outgoing
from serving.providers.schemas import is_open, strict, with_schema

if TYPE_CHECKING:
    from openai import AsyncOpenAI

REASONING = re.compile(r"(^|/)(o\d|gpt-([5-9]|\d\d))")
"""OpenAI's models that think before they answer; their temperature cannot be set."""
THOUGHT_TOKENS = 8192
"""What such a model may think: its limit counts thoughts as part of the answer."""


class OpenAiChat(ProvidedModel):
    """A model behind `/chat/completions`.

    The schema goes along as `response_format: json_schema`. A server that does not take that gets
    `json_object` instead, with the schema in words; which it was is remembered.
    """

    def __init__(
        self, connection: LlmConnection, outgoing: Outgoing, settings: LanguageSettings
    ) -> None:
        super().__init__(connection, settings)
        self._outgoing = outgoing
        self._client = Client(self._made)

    def _made(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        return AsyncOpenAI(
            base_url=self._outgoing.base_url,
            # Without one it would take the environment's; what is sent, `own_headers` decides.
            api_key=self._outgoing.key or "none",
            max_retries=0,
            timeout=self._outgoing.httpx2_timeout(),
            http_client=self._outgoing.httpx2_client(),
        )

    async def models(self) -> list[str]:
        """Names of the models that the server has."""

        async def listed() -> list[str]:
            client = await self._client()
            return [model.id async for model in client.models.list()]

        return await self._asked(listed)

    async def close(self) -> None:
        """Close the client."""
        if self._client.made is not None:
            await self._client.made.close()

    async def _prepare(self) -> None:
        await self._client()

    async def _answer(
        self, request: GenerationRequest, *, guided: bool
    ) -> AsyncGenerator[str | Generation]:
        client = await self._client()
        answer = _Answer(self._connection.model)
        async with await client.chat.completions.create(**self._body(request, guided)) as chunks:
            async for chunk in chunks:
                yield answer.take_chunk(chunk)
                if answer.finish is not None and answer.completion_tokens is not None:
                    break
        if answer.refused or answer.filtered:
            said = "".join(answer.refused)
            raise LlmRefused(self._failures.message("will not answer this", said))
        if answer.failed:
            raise LlmUnavailable(self._failures.message("failed in the middle of an answer"))
        if answer.finish is not None:
            yield answer.generation(request, answer.finish)

    def _body(self, request: GenerationRequest, guided: bool) -> dict[str, Any]:
        messages = request.messages
        body: dict[str, Any] = {
            "model": self._connection.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._limits(request),
        }
        if request.schema is not None and guided:
            body["response_format"] = _json_schema(request.schema)
        elif request.schema is not None:
            body["response_format"] = {"type": "json_object"}
            messages = with_schema(messages, request.schema)
        body["messages"] = [
            {"role": message.role.value, "content": message.content} for message in messages
        ]
        return body

    def _limits(self, request: GenerationRequest) -> dict[str, Any]:
        if REASONING.search(self._connection.model):
            return {"max_completion_tokens": request.max_tokens + THOUGHT_TOKENS}
        of_openai = self._connection.provider is LlmProvider.openai
        name = "max_completion_tokens" if of_openai else "max_tokens"
        return {name: request.max_tokens, "temperature": request.temperature}

    def _verdict(self, error: Exception) -> Verdict:
        from openai import APIConnectionError, APIError, APIStatusError

        if isinstance(error, APIStatusError):
            told = Told(error.status_code, _said(error), _codes(error), error.response.headers)
            return self._failures.of_answer(told)
        if isinstance(error, APIConnectionError):
            return self._failures.of_transport(error)
        if isinstance(error, APIError):
            return self._failures.of_answer(Told(None, _said(error), _codes(error)))
        return self._failures.of_error(error)


class VllmServer(OpenAiChat):
    """A vLLM server: it tells how many tokens a text has."""

    def __init__(
        self, connection: LlmConnection, outgoing: Outgoing, settings: LanguageSettings
    ) -> None:
        super().__init__(connection, outgoing, settings)
        self._counts = True

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's tokenizer; by estimate where a proxy hides it."""
        if self._counts:
            found = await counted(texts, self._count)
            if self._counts:
                return found
        return await super().count_tokens(texts)

    async def _count(self, text: str) -> int:
        from openai import NotFoundError

        async def ask() -> int:
            client = await self._client()
            # It stands beside the API, not in it.
            url = self._outgoing.base_url.removesuffix("/v1") + "/tokenize"
            body = {"model": self._connection.model, "prompt": text, "add_special_tokens": False}
            try:
                answer: Any = await client.post(url, cast_to=object, body=body)
            except NotFoundError:
                self._counts = False
                return 0
            return int(answer["count"])

        return await self._asked(ask)


class OpenRouter(OpenAiChat):
    """OpenRouter: it counts tokens when asked to."""

    def _body(self, request: GenerationRequest, guided: bool) -> dict[str, Any]:
        return {**super()._body(request, guided), "extra_body": {"usage": {"include": True}}}


class _Answer(Collected):
    """What chunks add up to; servers leave out what they like."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.refused: list[str] = []
        self.filtered = False
        self.failed = False

    def take_chunk(self, chunk: Any) -> str:
        """Add a chunk; its text, "" where it has none."""
        self.model = chunk.model or self.model
        if chunk.usage is not None:
            self.prompt_tokens = chunk.usage.prompt_tokens
            self.completion_tokens = chunk.usage.completion_tokens
        return "".join(self._take_choice(choice) for choice in chunk.choices or ())

    def _take_choice(self, choice: Any) -> str:
        self.filtered = self.filtered or choice.finish_reason == "content_filter"
        self.failed = self.failed or choice.finish_reason == "error"
        if choice.finish_reason is not None:
            self.finish = Finish.length if choice.finish_reason == "length" else Finish.stop
        delta = choice.delta
        if delta is None:
            return ""
        if delta.refusal:
            self.refused.append(delta.refusal)
        return self.take(delta.content or "")


def _json_schema(schema: Any) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": strict(schema), "strict": not is_open(schema)},
    }


def _said(error: Any) -> str:
    """What the server said, without the client's words around it."""
    body = error.body
    if isinstance(body, dict):
        return str(body.get("message") or body.get("detail") or body)
    return str(body or "")


def _codes(error: Any) -> tuple[str, ...]:
    flagged = isinstance(error.body, dict) and (error.body.get("metadata") or {}).get("reasons")
    filtered = ("content_filter",) if flagged else ()
    return (*filtered, *(str(code) for code in (error.code, error.type) if code))
