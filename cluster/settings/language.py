"""Settings of language models: the one inside the cluster, and how providers are asked."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import Count, Group, Seconds, words
from cluster.settings.outside import Listed


class LlmProvider(StrEnum):
    """Who runs a language model; the names are the seed's, and `local`."""

    local = "local"
    """The vLLM inside this cluster."""
    vllm = "vllm"
    """A vLLM server elsewhere."""
    openai = "openai"
    ollama = "ollama"
    anthropic = "anthropic"
    openrouter = "openrouter"
    custom = "custom"
    """Anything that speaks OpenAI's chat completions."""


class LanguageSettings(Group):
    """Language models: the one inside the cluster (vLLM), and calls of whichever."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_LLM_", extra="ignore", frozen=True, populate_by_name=True
    )

    local: bool = False
    """Whether a language model runs inside the cluster; `rayscribe up --llm` says so too."""
    python: Path = Path(".venv-llm/bin/python")
    """The Python of the environment that has vLLM (`make llm`); the same path on every node."""
    model: str | None = None
    """A name of `rayscribe models`, or a folder. Unset: `qwen2.5-coder-0.5b-instruct` (cpu),
    `Qwen/Qwen2.5-7B-Instruct` (gpu)."""
    context_tokens: Annotated[int, Field(ge=1024)] | None = None
    """Tokens of a prompt and its answer together. Unset: 4096 (cpu), 32768 (gpu)."""
    dtype: str | None = None
    """vLLM's number format. Unset: `float32` (cpu; try `bfloat16` on one with AVX-512 or AMX),
    `bfloat16` (gpu)."""
    max_sequences: Count | None = None
    """Sequences that the engine works on at a time. Unset: 8 (cpu), 64 (gpu)."""
    kv_cache_gib: Count = 1
    """Memory of the key-value cache on a CPU."""
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Share of a GPU's memory that vLLM takes."""
    num_gpus: Annotated[float, Field(gt=0)] = 1.0
    """GPUs of one replica; used only where the cluster has GPUs."""
    max_tasks: Count = 4
    """Summaries and the like that one runner works on at a time, beside its other tasks: they have
    places of their own, so that a slow model keeps no recording waiting."""
    max_outstanding_calls_per_task: Count = 4
    """Calls of one task under way: sections of a transcript go out together."""
    max_outstanding_calls: Count = 16
    """The same for all tasks of a runner together."""
    connect_seconds: Seconds = 10
    """How long a provider may take to accept a connection."""
    first_token_seconds: Seconds = 600
    """How long it may be silent before an answer begins: it may have to load its model."""
    idle_seconds: Seconds = 120
    """How long an answer that has begun may stand still."""
    call_seconds: Seconds = 1800
    """How long an answer may take in all."""
    retries: Annotated[int, Field(ge=0)] = 4
    """How often a call is repeated that a provider was too busy for, or failed at."""
    max_retry_seconds: Seconds = 60
    """The longest pause before such a repetition, whatever the provider asks for."""
    max_response_bytes: Count = 16 * 1024 * 1024
    """Largest answer."""
    test_seconds: Seconds = 60
    """How long a test of a configuration may take: somebody waits for it."""
    providers: Listed = ""
    """Providers that may be set up and used, separated by commas. Empty: all. `local`: no
    transcript leaves this cluster."""
    max_configurations: Count = 20
    """Configurations of one user."""
    max_prompts: Count = 50
    """Prompts of one user."""
    max_prompt_characters: Count = 10_000
    """Longest prompt: every call of a summary carries it."""

    @field_validator("providers")
    @classmethod
    def provider_list(cls, listed: str) -> str:
        """Refuse at the start what is no provider."""
        for name in words(listed):
            LlmProvider(name)
        return listed

    @property
    def allowed_providers(self) -> frozenset[LlmProvider]:
        """Providers that may be set up and used."""
        return frozenset(map(LlmProvider, words(self.providers) or LlmProvider))
