"""Ollama by the official client and its own chat route: the one that takes a context's size."""

import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import httpx

from cluster.settings import LanguageSettings
from serving.errors import ContextExceeded
from serving.language import Finish, Generation, GenerationRequest, LlmConnection
from serving.providers.base import Client, Collected, ProvidedModel
from serving.providers.failures import Told, Verdict
from serving.providers.outgoing import Outgoing
from serving.providers.schemas import strict, with_schema

if TYPE_CHECKING:
    from ollama import AsyncClient, ChatResponse

CHAT = "/api/chat"


class OllamaChat(ProvidedModel):
    """A model of an Ollama server.

    The schema goes along as `format`; a server before 0.5 gets `json`, with the schema in words.
    """

    def __init__(
        self, connection: LlmConnection, outgoing: Outgoing, settings: LanguageSettings
    ) -> None:
        super().__init__(connection, settings)
        self._outgoing = outgoing
        self._client = Client(self._made)

    def _made(self) -> "AsyncClient":
        from ollama import AsyncClient

        return AsyncClient(
            host=self._outgoing.base_url,
            transport=_Whole(self._outgoing.transport()),
            timeout=self._outgoing.httpx_timeout(),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
            event_hooks={"request": [self._outgoing.own_headers]},
        )

    async def models(self) -> list[str]:
        """Names of the models that are on the server."""

        async def listed() -> list[str]:
            found = await (await self._client()).list()
            return [model.model for model in found.models if model.model]

        return await self._asked(listed)

    async def close(self) -> None:
        """Close the client."""
        if self._client.made is not None:
            await self._client.made.close()  # type: ignore[no-untyped-call]

    async def _prepare(self) -> None:
        await self._client()

    async def _answer(
        self, request: GenerationRequest, *, guided: bool
    ) -> AsyncGenerator[str | Generation]:
        client = await self._client()
        answer = Collected(self._connection.model)
        async for part in await client.chat(**self._body(request, guided)):
            yield answer.take(part.message.content or "")
            if part.done:
                self._end(answer, part)
                break
        if answer.finish is not None:
            yield answer.generation(request, answer.finish)

    def _body(self, request: GenerationRequest, guided: bool) -> dict[str, Any]:
        messages, form = request.messages, None
        if request.schema is not None:
            form = strict(request.schema) if guided else "json"
            messages = messages if guided else with_schema(messages, request.schema)
        return {
            "model": self._connection.model,
            "messages": [
                {"role": message.role.value, "content": message.content} for message in messages
            ],
            "stream": True,
            # Thoughts would count as part of the answer, and a format would be put upon them.
            "think": False,
            "format": form,
            "options": {
                "num_ctx": self._connection.context_tokens,
                "num_predict": request.max_tokens,
                "temperature": request.temperature,
            },
        }

    def _end(self, answer: Collected, part: "ChatResponse") -> None:
        """Note how it ended; raise where text was lost."""
        answer.model = part.model or answer.model
        answer.prompt_tokens, answer.completion_tokens = part.prompt_eval_count, part.eval_count
        answer.finish = Finish.length if part.done_reason == "length" else Finish.stop
        context = self._connection.context_tokens
        prompt, completion = part.prompt_eval_count or 0, part.eval_count or 0
        # It cuts a prompt down to the whole context, and drops the beginning while it writes on.
        if prompt >= context or prompt + completion > context:
            raise ContextExceeded(
                self._failures.message(f"has cut the text to its context of {context} tokens")
            )

    def _verdict(self, error: Exception) -> Verdict:
        from ollama import ResponseError

        if isinstance(error, ResponseError):
            status = error.status_code if error.status_code > 0 else None
            # The client drops the headers; the error that it was made of has them.
            cause = error.__context__
            headers = cause.response.headers if isinstance(cause, httpx.HTTPStatusError) else None
            return self._failures.of_answer(Told(status, str(error.error), (), headers))
        return self._failures.of_error(error)


class _Whole(httpx.AsyncBaseTransport):
    """Asks the server to refuse what does not fit, instead of cutting it in silence.

    Ollama does so since 0.12 when told; its client has no parameter for it. Older ones do not know
    the words, and ignore them.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith(CHAT):
            return await self._inner.handle_async_request(request)
        body = json.loads(await request.aread()) | {"truncate": False, "shift": False}
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name.lower() != b"content-length"
        ]
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url,
                headers=headers,
                json=body,
                extensions=request.extensions,
            )
        )

    async def aclose(self) -> None:
        await self._inner.aclose()
