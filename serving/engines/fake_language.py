"""A language model without weights, deterministic: for everything that is not about a model.

It is honest: it sees nothing but the prompt, counts tokens, refuses what does not fit into its
context, and stops at `max_tokens`. What it answers stands in the prompt (`fake_answers`).
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

from serving.engines.fake_answers import answer

MODEL = "fake-language"
CONTEXT_EXCEEDED = "context_exceeded"
MESSAGE_TOKENS = 4
"""What it counts for a message beside its text, as chat templates do."""
PIECE_TOKENS = 16
"""Tokens of a piece of a streamed answer."""

UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# Six letters, a character of a script without spaces, a sign, or the end of a line.
TOKEN = re.compile(rf"[{UNSPACED}]|(?:(?![{UNSPACED}])[^\W_]){{1,6}}|[^\w\s]|_|\n")


class FakeLanguageEngine:
    """Has the interface of the real engine (`serving.engines.vllm`)."""

    def __init__(self, context_tokens: int, delay_seconds: float = 0.0) -> None:
        self._context = context_tokens
        self._delay = delay_seconds

    def load(self) -> None:
        """Nothing to load."""

    async def generate(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The answer piece by piece (`text`); the last item is the whole one, with its counts."""
        messages, most = request["messages"], request["max_tokens"]
        prompt = sum(tokens(message["content"]) + MESSAGE_TOKENS for message in messages)
        if prompt + most > self._context:
            said = f"The prompt has {prompt} tokens and the answer may have {most}"
            text = f"{said}; {MODEL} takes {self._context} together."
            yield {"error": CONTEXT_EXCEEDED, "message": text}
            return
        await asyncio.sleep(self._delay)
        schema = request["schema"]
        told = answer(messages, schema)
        whole = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
        text = cut(whole, most)
        for start, end in pieces(text):
            yield {"text": text[start:end]}
        yield {
            "text": text,
            "finish": "stop" if text == whole else "length",
            "prompt_tokens": prompt,
            "completion_tokens": tokens(text),
            "model": MODEL,
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [tokens(text) for text in texts]

    def describe(self) -> dict[str, Any]:
        """What it is, and how long a prompt and its answer may be together."""
        return {"model": MODEL, "context_tokens": self._context}

    async def check(self) -> None:
        """It cannot die."""

    def close(self) -> None:
        """Nothing to close."""


def tokens(text: str) -> int:
    """Tokens of a text; those of two texts in a row are never more than the sum."""
    return sum(1 for _ in TOKEN.finditer(text))


def cut(text: str, most: int) -> str:
    """The text's first tokens."""
    following = next(islice(TOKEN.finditer(text), most, None), None)
    return text if following is None else text[: following.start()]


def pieces(text: str) -> list[tuple[int, int]]:
    """Where a text is cut for a stream."""
    starts = [found.start() for found in islice(TOKEN.finditer(text), 0, None, PIECE_TOKENS)]
    edges = [0, *starts[1:], len(text)] if text else []
    return list(pairwise(edges))
