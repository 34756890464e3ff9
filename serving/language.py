"""Words of language models: what is asked, what comes back, and where a model is reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from cluster.settings import LlmProvider


class ChatRole(StrEnum):
    """Who says a message."""

    system = "system"
    user = "user"
    assistant = "assistant"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a conversation with a model."""

    role: ChatRole
    content: str


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a model is asked."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    """Of the answer."""
    temperature: float = 0.0
    schema: Mapping[str, Any] | None = None
    """A JSON schema: the answer is JSON that fits it, by the engine's guided decoding where there
    is one. None: free text."""


class Finish(StrEnum):
    """Why an answer ended."""

    stop = "stop"
    length = "length"
    """It reached `max_tokens`, or the context's end: it is cut off."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of calls, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        """Both together."""
        return TokenUsage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.calls + other.calls,
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer, whole."""

    text: str
    finish: Finish
    usage: TokenUsage
    model: str
    """What the provider calls the model that answered."""


@dataclass(frozen=True, slots=True)
class LlmConnection:
    """Where a model is reached, and what it can take."""

    provider: LlmProvider
    model: str
    context_tokens: int
    """Tokens of a prompt and its answer together."""
    base_url: str | None = None
    """None: the provider's own."""
    api_key: SecretStr | None = None
    temperature: float = 0.3
