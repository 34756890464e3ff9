"""What a configuration has to meet before it is stored, and what becomes of its key.

A key is entered for one address. It is encrypted for one row, and dropped when that row's address
changes, so that nobody who can change an address gets a key that somebody else entered.
"""

import uuid
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi.exceptions import RequestValidationError
from pydantic import SecretStr

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.llm_settings.schemas import MAX_URL_CHARACTERS, ConnectionChanges, ConnectionIn
from cluster.encryption import Encryption
from cluster.settings import LanguageSettings, LlmProvider
from db.models import LlmConfiguration
from db.queries.llm_configurations import UNTESTED
from serving.providers.known import KNOWN

LOCAL_MODEL = "local"
"""How the model inside the cluster is called in configurations: which it is, it says itself."""
CONNECTION = ("provider", "model", "base_url", "context_tokens", "temperature")


def _invalid(field: str, message: str) -> RequestValidationError:
    fault = {"loc": ("body", field), "msg": message, "type": "value_error"}
    return RequestValidationError([fault])


async def normal_url(services: Services, url: str | None) -> str | None:
    """An address as it is stored, if it may be reached.

    Raises:
        RequestValidationError: it cannot be the beginning of addresses.
        EgressRefused, EgressUnreachable: it may not, or cannot, be reached.
    """
    if url is None:
        return None
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise _invalid("base_url", "is not an address") from error
    if parsed.query or parsed.fragment or "?" in url or "#" in url:
        raise _invalid("base_url", "has no place for a query: paths are added behind it")
    normal = str(parsed).rstrip("/")
    if len(normal) > MAX_URL_CHARACTERS:
        raise _invalid(
            "base_url", f"has more than {MAX_URL_CHARACTERS} characters when written out"
        )
    await services.policy.check_url(normal)
    return normal


def require_allowed(provider: LlmProvider, settings: LanguageSettings) -> None:
    """See that a provider may be set up.

    Raises:
        ApiError: `not_configured`: the operator does not allow it, or no model runs inside.
    """
    if provider not in settings.allowed_providers:
        allowed = ", ".join(sorted(settings.allowed_providers))
        raise ApiError(
            ErrorType.not_configured,
            f"The operator of this installation does not allow {provider}; allowed are: {allowed}.",
        )
    if provider is LlmProvider.local and not settings.local:
        raise ApiError(
            ErrorType.not_configured,
            "No language model runs inside this cluster: an operator can start one with "
            "`rayscribe up --llm`.",
        )


def require_complete(
    provider: LlmProvider, model: str | None, base_url: str | None, *, has_key: bool
) -> None:
    """See that a connection has what its provider needs, and nothing that it cannot use.

    Raises:
        RequestValidationError: it does not.
    """
    if provider is LlmProvider.local:
        if base_url is not None:
            raise _invalid("base_url", "the model inside the cluster has no address: leave it out")
        if has_key:
            raise _invalid("api_key", "the model inside the cluster takes no key: leave it out")
        return
    if model is None:
        raise _invalid("model", f"{provider} has many: send the name of one")
    if KNOWN[provider].needs_base_url and base_url is None:
        raise _invalid("base_url", f"{provider} has no address of its own: send yours")
    if KNOWN[provider].needs_key and not has_key:
        raise _invalid("api_key", f"{provider} works only with a key")


def sealed(key: SecretStr | None, row_id: uuid.UUID, box: Encryption) -> str | None:
    """A key as it is stored in the row of this id."""
    return box.encrypt(key.get_secret_value(), str(row_id)) if key else None


def first_values(wanted: ConnectionIn, url: str | None, services: Services) -> dict[str, Any]:
    """The columns of a new row; `url` is the normal form of the one that was sent.

    Raises:
        RequestValidationError, ApiError: it cannot be set up so.
    """
    has_key = wanted.api_key is not None
    require_allowed(wanted.provider, services.language)
    require_complete(wanted.provider, wanted.model, url, has_key=has_key)
    row_id = uuid.uuid4()
    key = sealed(wanted.api_key, row_id, services.encryption)
    return {"id": row_id, "api_key": key, **_sent(wanted, url)}


def all_values(
    row: LlmConfiguration, wanted: ConnectionIn, url: str | None, services: Services
) -> tuple[dict[str, Any], bool]:
    """The columns of a locked row that is set anew, but for its key where that stays.

    Returns:
        The columns, and whether the stored key is dropped.

    Raises:
        RequestValidationError, ApiError: it cannot be set up so.
    """
    moved = wanted.provider is not row.provider or url != row.base_url
    key, dropped = _key_after(row, wanted, services.encryption, moved=moved)
    has_key = key.get("api_key", row.api_key) is not None
    require_allowed(wanted.provider, services.language)
    require_complete(wanted.provider, wanted.model, url, has_key=has_key)
    new = {**_sent(wanted, url), **key}
    return {**new, **_test_after(row, new)}, dropped


def new_values(
    row: LlmConfiguration, changes: ConnectionChanges, url: str | None, services: Services
) -> tuple[dict[str, Any], bool]:
    """What changes in a locked row; `url` is the normal form of the one that was sent.

    Returns:
        The columns, and whether the stored key is dropped.

    Raises:
        RequestValidationError, ApiError: it cannot be set up so.
    """
    new = changes.model_dump(exclude_none=True, exclude={"api_key", "base_url"})
    provider: LlmProvider = new.get("provider", row.provider)
    if "provider" in new:
        require_allowed(provider, services.language)
    elsewhere = provider is not row.provider
    kept_url = None if elsewhere else row.base_url
    new["base_url"] = url if "base_url" in changes.model_fields_set else kept_url
    moved = elsewhere or new["base_url"] != row.base_url
    key, dropped = _key_after(row, changes, services.encryption, moved=moved)
    _require_complete_after(row, new, changes)
    new.update(key)
    return {**new, **_test_after(row, new)}, dropped


def _sent(wanted: ConnectionIn, url: str | None) -> dict[str, Any]:
    values = wanted.model_dump(exclude={"api_key"})
    return {**values, "model": wanted.model or LOCAL_MODEL, "base_url": url}


def _key_after(
    row: LlmConfiguration, wanted: ConnectionIn | ConnectionChanges, box: Encryption, *, moved: bool
) -> tuple[dict[str, str | None], bool]:
    """What becomes of a row's key, if anything, and whether it is dropped without being asked."""
    if "api_key" in wanted.model_fields_set:
        return {"api_key": sealed(wanted.api_key, row.id, box)}, False
    if moved:
        return {"api_key": None}, row.api_key is not None
    return {}, False


def _require_complete_after(
    row: LlmConfiguration, new: dict[str, Any], changes: ConnectionChanges
) -> None:
    """See that the row will have what it needs; only its key may be missing."""
    provider = new.get("provider", row.provider)
    model = new.get("model", row.model)
    if provider is LlmProvider.local:
        require_complete(provider, None, changes.base_url, has_key=bool(changes.api_key))
        new["model"] = LOCAL_MODEL
    else:
        unnamed = row.provider is LlmProvider.local and "model" not in new
        require_complete(provider, None if unnamed else model, new["base_url"], has_key=True)


def _test_after(row: LlmConfiguration, new: Mapping[str, Any]) -> Mapping[str, Any]:
    """A test says nothing of what is reached otherwise than when it was made."""
    same = all(getattr(row, name) == new.get(name, getattr(row, name)) for name in CONNECTION)
    return {} if same and "api_key" not in new else UNTESTED
