"""From a connection to the model that it leads to."""

from collections.abc import Callable, Mapping

from cluster.egress import Resolve, resolve
from cluster.settings import EgressSettings, LanguageSettings, LlmProvider
from serving.errors import LlmFailed
from serving.language import LlmConnection
from serving.ports import LanguageModel
from serving.providers.anthropic_messages import AnthropicMessages
from serving.providers.local import LocalHandle, LocalModel
from serving.providers.ollama_chat import OllamaChat
from serving.providers.openai_chat import OpenAiChat, OpenRouter, VllmServer
from serving.providers.outgoing import Outgoing

ADAPTERS: Mapping[
    LlmProvider, Callable[[LlmConnection, Outgoing, LanguageSettings], LanguageModel]
] = {
    LlmProvider.vllm: VllmServer,
    LlmProvider.openai: OpenAiChat,
    LlmProvider.ollama: OllamaChat,
    LlmProvider.anthropic: AnthropicMessages,
    LlmProvider.openrouter: OpenRouter,
    LlmProvider.custom: OpenAiChat,
}


def connect(
    connection: LlmConnection,
    egress: EgressSettings,
    settings: LanguageSettings,
    *,
    local: LocalHandle | None = None,
    resolve: Resolve = resolve,
) -> LanguageModel:
    """The model; nothing is sent before it is asked, and clients' libraries are imported then.

    Args:
        connection: where it is, and with which key.
        egress: where requests may go; how long they may take is said by `settings`.
        settings: limits of calls.
        local: the handle of the model inside the cluster, if there is one.
        resolve: what knows the addresses of names.

    Raises:
        LlmUnauthorised: the provider needs a key and there is none, or none that can be sent.
        LlmFailed: there is no address, or none that can be read; or no model inside the cluster.
    """
    if connection.provider is LlmProvider.local:
        if local is None:
            raise LlmFailed("There is no language model inside this cluster.")
        return LocalModel(connection, local, settings)
    outgoing = Outgoing.of(connection, egress, settings, resolve)
    return ADAPTERS[connection.provider](connection, outgoing, settings)
