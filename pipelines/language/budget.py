"""How a model's context is shared out among a prompt's frame, its material and the answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.settings import LlmProvider
from serving.errors import ContextExceeded
from serving.language import ChatMessage, LlmConnection
from serving.ports import LanguageModel

ANSWER_SHARE = 4
"""An answer may take a quarter of the context."""
LONGEST_ANSWER = 4096
"""Tokens; what nearly every provider's models can write in one go."""
LONGEST_MATERIAL = 24_000
"""Tokens of a transcript that one call gets, however large the context: about two hours of speech.
An answer can speak for no more, and models overlook what stands in the midst of longer prompts."""
TEMPLATE_TOKENS = 48
"""What chat templates put around the messages."""
CORRECTION_TOKENS = 64
"""Kept free for saying what was wrong with an answer."""
MARGIN = TEMPLATE_TOKENS + CORRECTION_TOKENS
LEAST_ROOM = 64
"""Tokens of material below which sections would be shreds of sentences."""

SCHEMA_APART = frozenset({LlmProvider.local, LlmProvider.vllm, LlmProvider.ollama})
"""Providers whose engines decode along a schema that no prompt contains."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens of one kind of call."""

    context: int
    answer: int
    frame: int
    """All that is sent beside the material."""
    copies: int = 1
    """How often the prompt holds the material."""

    @property
    def room(self) -> int:
        """Tokens of material that fit."""
        free = (self.context - self.answer - self.frame - MARGIN) // self.copies
        return min(free, LONGEST_MATERIAL)

    @property
    def limit(self) -> int:
        """Tokens of a whole prompt, margin included, that leave room for the answer."""
        return self.context - self.answer


def answer_tokens(context: int, share: int = ANSWER_SHARE) -> int:
    """What is kept free for an answer: one of so many parts of the context."""
    return min(LONGEST_ANSWER, context // share)


def schema_text(connection: LlmConnection, schema: Mapping[str, Any]) -> str:
    """What a schema adds to a prompt; nothing, where the engine takes it apart from that."""
    return "" if connection.provider in SCHEMA_APART else json.dumps(schema)


async def budget(
    model: LanguageModel,
    frame: Sequence[ChatMessage],
    schema: Mapping[str, Any],
    answer: int,
    copies: int = 1,
) -> Budget:
    """The budget of calls whose messages are `frame` with material put in.

    Args:
        model: which is asked.
        frame: all messages, without the material.
        schema: of the answer.
        answer: tokens that are kept free for it.
        copies: how often the messages hold the material.

    Raises:
        ContextExceeded: that leaves next to no room for material; the message has the numbers.
    """
    context = model.connection.context_tokens
    texts = [message.content for message in frame] + [schema_text(model.connection, schema)]
    counted = sum(await model.count_tokens([text for text in texts if text]))
    found = Budget(context, answer, counted, copies)
    if found.room < LEAST_ROOM:
        raise ContextExceeded(
            f"The model's context has {context} tokens. Of these the prompt takes {counted}, "
            f"{MARGIN} are its margin and {found.answer} are kept for the answer: that leaves "
            f"{max(0, found.room)} for the transcript, and {LEAST_ROOM} is the least. Use a "
            "shorter prompt or a model with a larger context."
        )
    return found


async def counted(
    model: LanguageModel, prompts: Sequence[Sequence[ChatMessage]], schema: Mapping[str, Any]
) -> list[int]:
    """Tokens of whole prompts, their margin and schema included."""
    apart = schema_text(model.connection, schema)
    texts = {message.content for messages in prompts for message in messages} | {apart}
    ordered = sorted(texts - {""})
    tokens = dict(zip(ordered, await model.count_tokens(ordered), strict=True))
    beside = MARGIN + tokens.get(apart, 0)
    return [
        beside + sum(tokens.get(message.content, 0) for message in messages) for messages in prompts
    ]
