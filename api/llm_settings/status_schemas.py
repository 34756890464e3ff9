"""Answers about what there is and whether it works: providers, status, tests, models."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from api.errors import ErrorType
from api.llm_settings.schemas import ApiKey, BaseUrl
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented, example
from cluster.settings import LlmProvider


class ProviderOut(BaseModel):
    """A kind of language model that can be set up."""

    provider: LlmProvider
    """Its name in configurations."""
    title: str
    """Its name for people."""
    description: str
    """What it is, and where transcripts go with it."""
    allowed: bool
    """Whether the operator allows it."""
    available: bool
    """Whether it can be set up now: allowed, and with `local`, that it runs."""
    needs_api_key: bool
    """Whether it works only with a key."""
    needs_base_url: bool
    """Whether it has no address of its own."""
    default_base_url: str | None
    """Its own address; null: it has none."""
    base_url_example: str | None
    """How an address of it looks; null: it has none."""
    example_models: Sequence[str]
    """Names of some of its models; `…/models` asks it for all of them."""

    model_config = documented(
        {
            "provider": "anthropic",
            "title": "Anthropic",
            "description": "Claude: transcripts go to Anthropic.",
            "allowed": True,
            "available": True,
            "needs_api_key": True,
            "needs_base_url": False,
            "default_base_url": "https://api.anthropic.com",
            "base_url_example": "https://api.anthropic.com",
            "example_models": ["claude-haiku-4-5", "claude-sonnet-4-5"],
        }
    )


class Providers(BaseModel):
    """All kinds of language models."""

    providers: Sequence[ProviderOut]
    """In the order in which to show them."""

    model_config = documented({"providers": [example(ProviderOut)]})


class LlmSource(StrEnum):
    """Whose language model it is."""

    own = "own"
    default = "default"
    local = "local"
    none = "none"


class LlmStatus(BaseModel):
    """Which language model your work is done with."""

    available: bool
    """Whether summaries and the like can be asked for. No provider is asked for this: test it."""
    source: LlmSource
    """`own`: your active configuration; `default`: the installation's; `local`: the model inside
    the cluster; `none`: there is none."""
    provider: LlmProvider | None
    """Who runs it; null: there is none."""
    model: str | None
    """What the provider calls it; null: there is none, or the one inside the cluster sleeps."""
    configuration_id: uuid.UUID | None
    """Your active configuration; null: it is not one of yours."""
    context_tokens: int | None
    """Tokens that a prompt and its answer may have together; null: not known."""
    last_tested_at: datetime | None
    """When it was last tested; null: not since it was last changed."""
    test_status: str | None
    """How that went: `success` or `failed`."""
    reason: str | None
    """Why it is not available, and what to do; null: it is."""
    error_type: ErrorType | None
    """The same for programs; null: it is available."""

    model_config = documented(
        {
            "available": True,
            "source": "own",
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "configuration_id": EXAMPLE_ID,
            "context_tokens": 200_000,
            "last_tested_at": EXAMPLE_MOMENT,
            "test_status": "success",
            "reason": None,
            "error_type": None,
        }
    )


class TrialStatus(StrEnum):
    """How a test went."""

    success = "success"
    failed = "failed"
    not_configured = "not_configured"


class Trial(BaseModel):
    """What came of a test: the model was asked something small."""

    success: bool
    """Whether it answered."""
    status: TrialStatus
    """The same as a word; `not_configured`: there is nothing to test."""
    message: str
    """What happened, and what to do about it."""
    error_type: ErrorType | None
    """What went wrong, for programs; null: nothing."""
    response_time_ms: int | None
    """Milliseconds until its whole answer; null: it was not asked."""
    provider: LlmProvider | None
    """Who runs it; null: there is nothing to test."""
    model: str | None
    """What the provider calls the model that answered, or that should have."""
    context_tokens: int | None
    """Tokens that a prompt and its answer may have together, as it is set up."""

    model_config = documented(
        {
            "success": True,
            "status": "success",
            "message": "The model answers.",
            "error_type": None,
            "response_time_ms": 412,
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "context_tokens": 200_000,
        }
    )


class ModelsWanted(BaseModel):
    """Whose models are to be listed; the key is not stored."""

    provider: LlmProvider
    """Who runs them."""
    base_url: BaseUrl | None = None
    """Null: the provider's own address."""
    api_key: ApiKey | None = None
    """Null: none."""

    model_config = documented(
        {"provider": "ollama", "base_url": "http://ollama.example.org:11434", "api_key": None}
    )


class Models(BaseModel):
    """The models that a provider offers."""

    provider: LlmProvider
    """Who runs them."""
    models: Annotated[Sequence[str], Field(description="Their names, sorted")]
    total: int
    """How many they are."""

    model_config = documented(
        {"provider": "ollama", "models": ["llama3.2:3b", "qwen3:8b"], "total": 2}
    )
