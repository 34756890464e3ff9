"""Anthropic's messages by the official client."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from cluster.settings import LanguageSettings
from serving.errors import LlmRefused
from serving.language import ChatRole, Finish, Generation, GenerationRequest, LlmConnection
from serving.providers.base import Client, Collected, ProvidedModel
from serving.providers.counting import counted
from serving.providers.failures import Told, Verdict
from serving.providers.outgoing import Outgoing
from serving.providers.schemas import strict

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

ANSWER = "answer"
"""The tool that is called where the model takes no schema."""
FINISH = {
    "max_tokens": Finish.length,
    "model_context_window_exceeded": Finish.length,
}
PAGE = 1000


class AnthropicMessages(ProvidedModel):
    """A model behind `/v1/messages`; none of them takes a temperature any more.

    The schema goes along as `output_config`; a model that does not take that is made to call a
    tool with the schema's arguments instead, and this is remembered.
    """

    def __init__(
        self, connection: LlmConnection, outgoing: Outgoing, settings: LanguageSettings
    ) -> None:
        super().__init__(connection, settings)
        self._outgoing = outgoing
        self._client = Client(self._made)

    def _made(self) -> "AsyncAnthropic":
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(
            base_url=self._outgoing.base_url.removesuffix("/v1"),
            api_key=self._outgoing.key,
            max_retries=0,
            timeout=self._outgoing.httpx2_timeout(),
            http_client=self._outgoing.httpx2_client(),
            # The environment could ask for prompts in traces.
            open_telemetry=False,
        )

    async def models(self) -> list[str]:
        """Names of the models that the key may use."""

        async def listed() -> list[str]:
            client = await self._client()
            return [model.id async for model in client.models.list(limit=PAGE)]

        return await self._asked(listed)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as a message: some more than the text alone has."""
        return await counted(texts, self._count)

    async def _count(self, text: str) -> int:
        async def ask() -> int:
            client = await self._client()
            count = await client.messages.count_tokens(
                model=self._connection.model, messages=[{"role": "user", "content": text}]
            )
            return count.input_tokens

        return await self._asked(ask)

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
        async with await client.messages.create(**self._body(request, guided)) as events:
            async for event in events:
                yield answer.take_event(event)
                if answer.ended:
                    break
        if answer.stopped == "refusal":
            raise LlmRefused(self._failures.message("will not answer this", answer.explanation))
        if answer.ended and answer.stopped is not None:
            yield answer.generation(request, FINISH.get(answer.stopped, Finish.stop))

    def _body(self, request: GenerationRequest, guided: bool) -> dict[str, Any]:
        told = [m.content for m in request.messages if m.role is ChatRole.system]
        body: dict[str, Any] = {
            "model": self._connection.model,
            "max_tokens": request.max_tokens,
            "stream": True,
            "messages": [
                {"role": message.role.value, "content": message.content}
                for message in request.messages
                if message.role is not ChatRole.system
            ],
        }
        if told:
            body["system"] = "\n\n".join(told)
        if request.schema is not None:
            body |= _output(request.schema) if guided else _tool(request.schema)
        return body

    def _verdict(self, error: Exception) -> Verdict:
        from anthropic import APIConnectionError, APIStatusError

        if isinstance(error, APIStatusError):
            said, code = _said(error)
            # In the middle of an answer the status is that of its beginning.
            status = error.status_code if error.status_code >= 300 else None
            told = Told(status, said, (code,) if code else (), error.response.headers)
            return self._failures.of_answer(told)
        if isinstance(error, APIConnectionError):
            return self._failures.of_transport(error)
        return self._failures.of_error(error)


class _Answer(Collected):
    """What events add up to."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.stopped: str | None = None
        self.explanation = ""
        self.ended = False

    def take_event(self, event: Any) -> str:
        """Add an event; its text, "" where it has none."""
        match event.type:
            case "message_start":
                self.model = event.message.model
                self._take_usage(event.message.usage)
            case "content_block_delta" if event.delta.type == "text_delta":
                return self.take(event.delta.text)
            case "content_block_delta" if event.delta.type == "input_json_delta":
                return self.take(event.delta.partial_json)
            case "message_delta":
                self.stopped = event.delta.stop_reason
                details = event.delta.stop_details
                self.explanation = (details.explanation or "") if details else ""
                self._take_usage(event.usage)
            case "message_stop":
                self.ended = True
        return ""

    def _take_usage(self, usage: Any) -> None:
        self.completion_tokens = usage.output_tokens
        if usage.input_tokens is not None:
            cached = (usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
            self.prompt_tokens = usage.input_tokens + sum(count or 0 for count in cached)


def _output(schema: Any) -> dict[str, Any]:
    from anthropic import transform_schema

    return {
        "output_config": {
            "format": {"type": "json_schema", "schema": transform_schema(strict(schema))}
        }
    }


def _tool(schema: Any) -> dict[str, Any]:
    tool = {"name": ANSWER, "description": "Give the answer.", "input_schema": strict(schema)}
    return {"tools": [tool], "tool_choice": {"type": "tool", "name": ANSWER}}


def _said(error: Any) -> tuple[str, str]:
    """What it said, and its own word for the kind of failure."""
    told = error.body.get("error") if isinstance(error.body, dict) else None
    if isinstance(told, dict):
        return str(told.get("message", "")), str(told.get("type", ""))
    return str(error.body or ""), ""
