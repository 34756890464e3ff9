"""Which language model a user's work is done with, and how it is reached."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.encryption import Encryption, Undecryptable
from cluster.settings import LanguageSettings, LlmProvider
from db.models import LlmConfiguration
from db.queries import llm_configurations
from serving.errors import LlmFailed, LlmUnauthorised, LlmUnavailable
from serving.language import LlmConnection
from serving.providers.known import KNOWN

P = LlmProvider


@dataclass(frozen=True, slots=True)
class LocalState:
    """The language model inside the cluster, as it says of itself (`describe`)."""

    model: str
    context_tokens: int


class Source(StrEnum):
    """Whose language model it is that a user's work is done with."""

    own = "own"
    """The user's active configuration."""
    default = "default"
    """The installation's default, which administrators set."""
    local = "local"
    """The model inside the cluster, since nobody set up another one."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The language model of a user's work."""

    source: Source
    provider: LlmProvider
    model: str | None
    """None: the local one, which does not answer at the moment."""
    configuration: LlmConfiguration | None
    """None: the local one, which nobody had to set up."""


async def find(
    session: AsyncSession,
    user_id: uuid.UUID,
    settings: LanguageSettings,
    local: LocalState | None = None,
) -> Resolved | None:
    """Whose language model a user's work is done with; None: there is none.

    It is the user's active configuration, else the installation's default, else the model inside
    the cluster if there is one, which is not asked: it may be asleep.
    """
    if own := await llm_configurations.active(session, user_id):
        return Resolved(Source.own, own.provider, _model(own, local), own)
    if default := await llm_configurations.default(session):
        return Resolved(Source.default, default.provider, _model(default, local), default)
    if local is None and not settings.local:
        return None
    return Resolved(Source.local, P.local, local.model if local else None, None)


def _model(row: LlmConfiguration, local: LocalState | None) -> str | None:
    """What a configuration's model is called: the one inside the cluster says it itself."""
    if row.provider is P.local:
        return local.model if local else None
    return row.model


async def resolve(
    session: AsyncSession,
    user_id: uuid.UUID,
    settings: LanguageSettings,
    local: LocalState | None,
    box: Encryption,
) -> LlmConnection | None:
    """How the language model of a user's work is reached (see `find`); None: there is none.

    Raises:
        LlmUnauthorised: its key can no longer be read, or it has none and needs one.
        LlmUnavailable: it is the one inside the cluster, and that does not answer.
        LlmFailed: the operator does not allow its provider any more.
    """
    found = await find(session, user_id, settings, local)
    return connection(found, settings, local, box) if found else None


def connection(
    found: Resolved, settings: LanguageSettings, local: LocalState | None, box: Encryption
) -> LlmConnection:
    """How a language model that was found is reached; raises as `resolve` does."""
    if found.configuration is not None:
        return connection_of(found.configuration, settings, local, box)
    return local_connection(local)


def connection_of(
    row: LlmConfiguration, settings: LanguageSettings, local: LocalState | None, box: Encryption
) -> LlmConnection:
    """How a configuration's model is reached; raises as `resolve` does."""
    require_allowed(row.provider, settings)
    if row.provider is P.local:
        return local_connection(local, row.context_tokens, row.temperature)
    return LlmConnection(
        provider=row.provider,
        model=row.model,
        context_tokens=row.context_tokens,
        base_url=row.base_url,
        api_key=api_key_of(row, box),
        temperature=row.temperature,
    )


def local_connection(
    local: LocalState | None, context_tokens: int | None = None, temperature: float = 0.3
) -> LlmConnection:
    """How the model inside the cluster is reached; None: with all the context that it has.

    Raises:
        LlmUnavailable: it does not answer.
    """
    if local is None:
        raise LlmUnavailable("The language model inside the cluster does not answer.")
    # Whoever wants less than it can take gets that; more does not exist.
    context = min(context_tokens or local.context_tokens, local.context_tokens)
    return LlmConnection(P.local, local.model, context, temperature=temperature)


def require_allowed(provider: LlmProvider, settings: LanguageSettings) -> None:
    """See that a provider may be used.

    Raises:
        LlmFailed: the operator does not allow it.
    """
    if provider not in settings.allowed_providers:
        allowed = ", ".join(sorted(settings.allowed_providers))
        raise LlmFailed(
            f"The operator of this installation does not allow the provider {provider}; "
            f"allowed are: {allowed}."
        )


def api_key_of(row: LlmConfiguration, box: Encryption) -> SecretStr | None:
    """The key of a configuration; None: it has none, and needs none.

    Raises:
        LlmUnauthorised: it can no longer be read, or there is none and one is needed.
    """
    where = "at /api/admin/llm-settings" if row.user_id is None else "at /api/llm-settings"
    if row.api_key is None:
        if KNOWN[row.provider].needs_key:
            raise LlmUnauthorised(f"{row.provider} needs a key, and none is set: enter it {where}.")
        return None
    try:
        return SecretStr(box.decrypt(row.api_key, str(row.id)))
    except Undecryptable as error:
        raise LlmUnauthorised(
            "The key that is stored can no longer be read, since the installation's own key "
            f"changed: enter it anew {where}."
        ) from error
