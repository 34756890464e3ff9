"""The kinds of language models, as they are described to whoever sets one up."""

from collections.abc import Mapping

from api.llm_settings.status_schemas import ProviderOut
from cluster.settings import LanguageSettings, LlmProvider
from serving.providers.known import KNOWN

P = LlmProvider

DESCRIPTIONS: Mapping[LlmProvider, str] = {
    P.local: "The installation's own model: no transcript leaves the cluster.",
    P.vllm: "A vLLM server of your own, at its OpenAI-compatible address.",
    P.ollama: "An Ollama server of your own.",
    P.openai: "GPT: transcripts go to OpenAI.",
    P.anthropic: "Claude: transcripts go to Anthropic.",
    P.openrouter: "Models of many makers: transcripts go to OpenRouter and from there to them.",
    P.custom: "Any other server that speaks OpenAI's chat completions.",
}
"""In the order in which they are shown: what may stay inside comes first."""


def described(settings: LanguageSettings) -> list[ProviderOut]:
    """All of them, and which of them this installation allows."""
    return [_out(provider, settings) for provider in DESCRIPTIONS]


def _out(provider: LlmProvider, settings: LanguageSettings) -> ProviderOut:
    known = KNOWN[provider]
    allowed = provider in settings.allowed_providers
    return ProviderOut(
        provider=provider,
        title=known.title,
        description=DESCRIPTIONS[provider],
        allowed=allowed,
        available=allowed and (provider is not P.local or settings.local),
        needs_api_key=known.needs_key,
        needs_base_url=known.needs_base_url,
        default_base_url=known.base_url,
        base_url_example=known.base_url_example or None,
        example_models=known.example_models,
    )
