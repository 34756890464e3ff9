"""What work with language models is made of: settings, and the ways to the models."""

from dataclasses import dataclass
from typing import Any, Protocol

from cluster.egress import Resolve, resolve
from cluster.encryption import Encryption
from cluster.settings import EgressSettings, LanguageSettings
from pipelines.language.configurations import LocalState


class LocalModel(Protocol):
    """The language model inside the cluster, where there is one."""

    async def handle(self) -> Any:
        """Its Serve handle; None: none runs. Raises LlmUnavailable."""
        ...

    async def state(self) -> LocalState | None:
        """What it says of itself; None: none runs. Raises LlmUnavailable: it does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class LanguageParts:
    """What a runner reaches language models with."""

    settings: LanguageSettings
    egress: EgressSettings
    encryption: Encryption
    local: LocalModel
    resolve: Resolve = resolve
    """How names of providers become addresses."""
