"""The providers that one can choose: what they are called, where they are, what they need."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cluster.settings import LlmProvider


@dataclass(frozen=True, slots=True)
class Known:
    """What a user is told of a provider before choosing it."""

    title: str
    base_url: str | None = None
    """Where it is unless one says otherwise."""
    base_url_example: str | None = None
    """Of a provider that is wherever somebody runs it."""
    needs_key: bool = False
    example_models: tuple[str, ...] = ()

    @property
    def needs_base_url(self) -> bool:
        """Whether one has to say where it is."""
        return self.base_url_example is not None


KNOWN: Mapping[LlmProvider, Known] = MappingProxyType(
    {
        LlmProvider.local: Known(title="Inside this cluster"),
        LlmProvider.vllm: Known(
            title="vLLM",
            base_url_example="http://vllm.example:8000/v1",
            example_models=("Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ),
        LlmProvider.openai: Known(
            title="OpenAI",
            base_url="https://api.openai.com/v1",
            needs_key=True,
            example_models=("gpt-5-mini", "gpt-4.1-mini", "gpt-4o-mini"),
        ),
        LlmProvider.ollama: Known(
            title="Ollama",
            base_url_example="http://ollama.example:11434",
            example_models=("llama3.1:8b", "qwen2.5:7b", "gemma3:12b"),
        ),
        LlmProvider.anthropic: Known(
            title="Anthropic",
            base_url="https://api.anthropic.com",
            needs_key=True,
            example_models=("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"),
        ),
        LlmProvider.openrouter: Known(
            title="OpenRouter",
            base_url="https://openrouter.ai/api/v1",
            needs_key=True,
            example_models=(
                "openai/gpt-4.1-mini",
                "anthropic/claude-haiku-4.5",
                "qwen/qwen-2.5-72b-instruct",
            ),
        ),
        LlmProvider.custom: Known(
            title="OpenAI-compatible server", base_url_example="https://models.example/v1"
        ),
    }
)
