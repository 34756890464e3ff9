"""LanguageModel: the language model inside the cluster. Plain dicts and strings cross its handle.

With vLLM its replicas are processes of another environment (`py_executable`), which has vLLM and
Ray but not our other libraries: nothing of ours is imported here but the engines, inside.
"""

import os
import time
from collections.abc import AsyncGenerator
from typing import Any


class LanguageModel:
    """Chat messages to text; requests of many callers share the engine's batches."""

    role = "language_model"

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._engine = _engine(arguments)
        self._engine.load()
        self._calls = self._prompt_tokens = self._completion_tokens = 0
        self._running = 0
        self._started = time.time()

    async def generate(self, request: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The answer piece by piece; the last item is the whole one, or says why there is none."""
        self._running += 1
        try:
            async for item in self._engine.generate(request):
                if "finish" in item:
                    self._note(item)
                yield item
        finally:
            self._running -= 1

    def _note(self, answer: dict[str, Any]) -> None:
        self._calls += 1
        self._prompt_tokens += answer["prompt_tokens"]
        self._completion_tokens += answer["completion_tokens"]

    async def count_tokens(self, texts: list[str]) -> list[int]:
        """Tokens of each text."""
        counts: list[int] = self._engine.count_tokens(texts)
        return counts

    async def describe(self) -> dict[str, Any]:
        """`model` and `context_tokens`."""
        described: dict[str, Any] = self._engine.describe()
        return described

    async def stats(self) -> dict[str, Any]:
        """What it is, and what it has done since it started."""
        return {
            "role": self.role,
            "pid": os.getpid(),
            **self._engine.describe(),
            "calls": self._calls,
            "running": self._running,
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._completion_tokens,
            "seconds": round(time.time() - self._started, 1),
        }

    async def check_health(self) -> None:
        """Serve asks this; an exception gets the replica replaced."""
        await self._engine.check()

    def __del__(self) -> None:
        """Serve calls this when the replica goes: end the engine's processes."""
        if hasattr(self, "_engine"):
            self._engine.close()


def _engine(arguments: dict[str, Any]) -> Any:
    if arguments["engine"] == "fake":
        from serving.engines.fake_language import FakeLanguageEngine

        return FakeLanguageEngine(arguments["context_tokens"])
    from serving.engines.vllm import VllmEngine, VllmOptions

    options = {name: value for name, value in arguments.items() if name != "engine"}
    return VllmEngine(VllmOptions(**options))
