"""How any provider is asked: limits of time, repetitions, one meaning of each failure."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from cluster.settings import LanguageSettings
from serving.language import (
    Finish,
    Generation,
    GenerationRequest,
    LlmConnection,
    TokenUsage,
)
from serving.providers.estimates import estimate, estimate_prompt
from serving.providers.failures import Failures, Verdict

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.5
"""Doubled at each repetition, where the provider does not say how long it wants."""


@dataclass(slots=True)
class Collected:
    """An answer as far as it has come."""

    model: str
    pieces: list[str] = field(default_factory=list)
    finish: Finish | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def take(self, piece: str) -> str:
        """Add a piece, and hand it on."""
        if piece:
            self.pieces.append(piece)
        return piece

    def generation(self, request: GenerationRequest, finish: Finish) -> Generation:
        """The whole answer; tokens that the provider did not count are estimated."""
        text = "".join(self.pieces)
        prompt, completion = self.prompt_tokens, self.completion_tokens
        usage = TokenUsage(
            estimate_prompt(request.messages) if prompt is None else prompt,
            estimate(text) if completion is None else completion,
            calls=1,
        )
        return Generation(text, finish, usage, self.model)


class Client(Generic[T]):
    """A vendor's client, made when first needed, in a thread: importing it takes seconds."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._making = asyncio.Lock()
        self.made: T | None = None

    async def __call__(self) -> T:
        """The client."""
        async with self._making:
            if self.made is None:
                self.made = await asyncio.to_thread(self._make)
            return self.made


class Tries:
    """How often, and until when, a call is repeated."""

    def __init__(self, settings: LanguageSettings, connection: LlmConnection) -> None:
        self._settings = settings
        self._names = {"provider": connection.provider.value, "model": connection.model}
        self._made = 0
        self.deadline = _now() + settings.call_seconds

    async def pause(self, verdict: Verdict) -> None:
        """Wait before the next try; raise the verdict's error where there is to be none."""
        self._made += 1
        seconds = self._seconds(verdict)
        late = _now() + seconds >= self.deadline
        if not verdict.error.retryable or self._made > self._settings.retries or late:
            raise verdict.error
        log.warning(
            "call repeated", **self._names, error=verdict.error.message, seconds=round(seconds, 2)
        )
        await asyncio.sleep(seconds)

    def _seconds(self, verdict: Verdict) -> float:
        jitter = random.uniform(1, 1.5)  # noqa: S311 - jitter
        asked = verdict.pause_seconds
        wanted = FIRST_PAUSE_SECONDS * 2 ** (self._made - 1) if asked is None else asked
        return min(wanted * jitter, self._settings.max_retry_seconds)


class ProvidedModel(ABC):
    """The port `LanguageModel`; a provider says how one try goes, and what its failures mean."""

    def __init__(self, connection: LlmConnection, settings: LanguageSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._failures = Failures(connection)
        self._guided = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._connection.provider} {self._connection.model}>"

    @property
    def connection(self) -> LlmConnection:
        """Where it is reached; what it can take."""
        return self._connection

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[str | Generation]:
        """The answer piece by piece; an answer that has begun is not asked for again."""
        async with aclosing(self._tried(request, from_the_start=False)) as items:
            async for item in items:
                if item != "":
                    yield item

    async def generate(self, request: GenerationRequest) -> Generation:
        """The answer, whole."""
        last: str | Generation = ""
        async with aclosing(self._tried(request, from_the_start=True)) as items:
            async for item in items:
                last = item
        if not isinstance(last, Generation):
            raise TypeError("a stream ended without a generation")
        return last

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, by estimate."""
        return [estimate(text) for text in texts]

    @abstractmethod
    async def models(self) -> list[str]:
        """Names of the models that the provider offers."""

    @abstractmethod
    async def close(self) -> None:
        """Close what is open."""

    async def _prepare(self) -> None:
        """What takes its time before the first call and is no fault of the provider's."""
        return

    @abstractmethod
    def _answer(
        self, request: GenerationRequest, *, guided: bool
    ) -> AsyncGenerator[str | Generation]:
        """One try: pieces (empty ones are signs of life), last the whole answer.

        A stream that ends without a last item has broken off. With `guided`, the provider's own
        way to keep to the schema is used; else the one step down from it.
        """

    @abstractmethod
    def _verdict(self, error: Exception) -> Verdict:
        """What an error of the provider's library means; one of the port means itself."""

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a short call answers: repeated like the others, with the errors of the port."""
        await self._prepare()
        tries = Tries(self._settings, self._connection)
        while True:
            try:
                async with asyncio.timeout(self._settings.idle_seconds):
                    return await call()
            except TimeoutError:
                verdict = self._failures.silent(self._settings.idle_seconds)
            except Exception as error:  # noqa: BLE001 - the libraries raise what they like
                verdict = self._verdict(error)
            # Outside of the handler: a library's error, with what it shows, is no context of ours.
            await tries.pause(verdict)

    async def _tried(
        self, request: GenerationRequest, *, from_the_start: bool
    ) -> AsyncGenerator[str | Generation]:
        """Tries until one comes to its end.

        With `from_the_start` a next one repeats the pieces; else there is none once there were any.
        """
        await self._prepare()
        tries = Tries(self._settings, self._connection)
        guided, begun = self._guided, False
        while True:
            verdict = None
            async with aclosing(self._timed(request, guided, tries.deadline)) as items:
                async for item in items:
                    if isinstance(item, Verdict):
                        verdict = item
                    else:
                        begun = begun or item != ""
                        yield item
            if verdict is None:
                self._guided = self._guided and guided
                return
            if begun and not from_the_start:
                raise verdict.error
            if verdict.rejected and guided and request.schema is not None:
                guided = False
            else:
                await tries.pause(verdict)

    async def _timed(
        self, request: GenerationRequest, guided: bool, deadline: float
    ) -> AsyncGenerator[str | Generation | Verdict]:
        """One try; a Verdict is its last item where it fails."""
        limit = self._settings.first_token_seconds
        async with aclosing(self._answer(request, guided=guided)) as items:
            while True:
                seconds = min(limit, deadline - _now())
                try:
                    async with asyncio.timeout(seconds):
                        item: str | Generation | Verdict | None = await anext(items, None)
                except TimeoutError:
                    late = seconds < limit
                    item = self._failures.too_slow() if late else self._failures.silent(limit)
                except Exception as error:  # noqa: BLE001 - the libraries raise what they like
                    item = self._verdict(error)
                yield self._failures.broke_off() if item is None else item
                if not isinstance(item, str):
                    return
                if item:
                    limit = self._settings.idle_seconds


def _now() -> float:
    return asyncio.get_running_loop().time()
