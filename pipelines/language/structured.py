"""Questions whose answers are JSON: asked, validated, asked once more, kept."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from pipelines.language.base import Work
from pipelines.language.budget import CORRECTION_TOKENS
from pipelines.stages.base import fingerprint
from serving.errors import ContextExceeded, LlmOutputInvalid
from serving.language import ChatMessage, Finish, Generation, GenerationRequest, TokenUsage

Model = TypeVar("Model", bound=BaseModel)

WORTH = 1.5
"""A cut answer is asked for again where it gets at least so much more room; at most twice."""
PROBLEM_CHARACTERS = 80
LOOKED_UP_AT_A_TIME = 4
"""Hundreds of sections begin together; they are not to take the store's connections together."""
# What models that reason aloud put in front of their answer.
THOUGHTS = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)


class AnswerCut(LlmOutputInvalid):
    """The language model's answer is longer than the room for it."""


@dataclass(frozen=True, slots=True)
class Question(Generic[Model]):
    """What is asked, and what the answer has to be."""

    messages: tuple[ChatMessage, ...]
    answer: type[Model]
    schema: Mapping[str, Any]
    max_tokens: int
    temperature: float

    def corrected(self, problem: str) -> "Question[Model]":
        """The same, with what was wrong with an answer."""
        # Not a message of its own: some chat templates refuse two of one role in a row.
        *before, last = self.messages
        text = f"{last.content}\n\nYour last answer was not valid: {problem}. Answer in valid JSON."
        return replace(self, messages=(*before, replace(last, content=text)))

    @property
    def request(self) -> GenerationRequest:
        """As a model takes it."""
        return GenerationRequest(self.messages, self.max_tokens, self.temperature, self.schema)


class Outcome(BaseModel):
    """What came of a question, as it is kept: a text that is valid, or why there is none."""

    text: str | None = None
    cut: bool = False
    exceeded: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0


class Questions:
    """Asks a model on behalf of one task; keeps what it says and counts its tokens.

    Each answer is kept under all that it depends on. An attempt after a crash finds those that
    were given, those that did not fit as well, and asks only what is left.
    """

    def __init__(self, work: Work, stage: str) -> None:
        self._work = work
        self._stage = stage
        self._looking = asyncio.Semaphore(LOOKED_UP_AT_A_TIME)
        self.usage = TokenUsage()
        """Of all calls, those of earlier attempts and invalid answers included."""

    async def ask(self, question: Question[Model]) -> Model:
        """The model's answer.

        Raises:
            AnswerCut: it is longer than the room for it, also with twice the room.
            ContextExceeded: the provider counts more tokens than we did.
            LlmOutputInvalid: it does not fit the schema, also when told what was wrong.
        """
        key = fingerprint(_identity(self._work, question))
        async with self._looking:
            stored = await self._work.checkpoints.load(self._stage, key)
        if 0 in stored:
            outcome = Outcome.model_validate_json(stored[0])
        else:
            outcome = await self._outcome(question)
            await self._work.checkpoints.save(
                self._stage, key, 0, outcome.model_dump_json().encode()
            )
        self.usage += TokenUsage(outcome.prompt_tokens, outcome.completion_tokens, outcome.calls)
        if outcome.exceeded is not None:
            raise ContextExceeded(outcome.exceeded)
        if outcome.text is None:
            raise AnswerCut
        return parsed(outcome.text, question.answer)

    async def _outcome(self, question: Question[Model]) -> Outcome:
        usage = TokenUsage()
        enlarged = corrected = False
        while True:
            try:
                async with self._work.slot():
                    generation = await self._work.model.generate(question.request)
            except ContextExceeded as error:
                return _kept(usage, exceeded=error.message)
            usage += generation.usage
            try:
                parsed(generation.text, question.answer)
            except LlmOutputInvalid as error:
                if generation.finish is Finish.length:
                    larger = self._larger(question, generation)
                    if enlarged or larger is None:
                        return _kept(usage, cut=True)
                    question, enlarged = larger, True
                elif corrected:
                    raise LlmOutputInvalid(
                        f"The language model's answer does not fit, also when asked again: {error}."
                    ) from error
                else:
                    question, corrected = question.corrected(error.message), True
            else:
                return _kept(usage, text=generation.text)

    def _larger(self, question: Question[Model], cut: Generation) -> Question[Model] | None:
        """The same with twice the room, or what the context still has; None: not worth it."""
        context = self._work.model.connection.context_tokens
        left = context - cut.usage.prompt_tokens - CORRECTION_TOKENS
        room = min(2 * question.max_tokens, left)
        if room < WORTH * question.max_tokens:
            return None
        return replace(question, max_tokens=room)


def _kept(
    usage: TokenUsage, text: str | None = None, cut: bool = False, exceeded: str | None = None
) -> Outcome:
    return Outcome(
        text=text,
        cut=cut,
        exceeded=exceeded,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        calls=usage.calls,
    )


def _identity(work: Work, question: Question[Model]) -> list[Any]:
    connection = work.model.connection
    return [
        connection.provider,
        connection.model,
        connection.base_url,
        connection.context_tokens,
        [[message.role, message.content] for message in question.messages],
        question.answer.__name__,
        question.schema,
        question.max_tokens,
        question.temperature,
    ]


def parsed(text: str, model: type[Model]) -> Model:
    """The JSON object in a text, validated; what stands around it is left out.

    Raises:
        LlmOutputInvalid: there is none, or it is another one; the message says what is wrong.
    """
    found = THOUGHTS.sub("", text)
    start = found.find("{")
    if start < 0:
        raise LlmOutputInvalid("it is no JSON object")
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(found, start)
    except json.JSONDecodeError as error:
        raise LlmOutputInvalid(f"it is no valid JSON ({error.msg})") from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the object"
        raise LlmOutputInvalid(f"{where}: {first['msg']}"[:PROBLEM_CHARACTERS]) from error
