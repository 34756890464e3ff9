"""The OpenID provider that people may sign in at: its endpoints, its keys, its word.

Authlib builds the requests (authorization code, PKCE S256) and checks the ID token's claims; this
reads the provider's configuration, keeps its keys, and sends everything through the egress client,
for which the operator's issuer is an address that may be reached.
"""

import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from authlib.common.security import generate_token
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, Field, ValidationError

from api.errors import ApiError, ErrorType
from cluster import egress
from cluster.egress import Resolve
from cluster.settings import EgressSettings, OidcSettings
from cluster.settings.door import is_private_channel

WELL_KNOWN = "/.well-known/openid-configuration"
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Signatures by a key that only the provider has: never `none`, never one by a shared secret."""
KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
KEPT_SECONDS = 3600
"""How long configuration and keys are kept: a key that the provider gives up is soon forgotten."""
LEEWAY_SECONDS = 60
"""How far clocks may differ."""

logger = structlog.get_logger(__name__)


class Configuration(BaseModel):
    """What we use of a provider's configuration (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    id_token_signing_alg_values_supported: list[str] = Field(default_factory=lambda: ["RS256"])
    token_endpoint_auth_methods_supported: list[str] = Field(
        default_factory=lambda: ["client_secret_basic"]
    )
    authorization_response_iss_parameter_supported: bool = False


class Pending(BaseModel):
    """A sign-in that was begun: what the browser has to bring back."""

    state: str
    nonce: str
    code_verifier: str


class _TokenClient(OAuth2Client):  # type: ignore[misc] # Authlib has no types
    """Authlib's client, whose requests go through the egress client."""

    async def _fetch_token(
        self, url: str, *, body: str, headers: dict[str, str], auth: Any, method: str
    ) -> Any:
        url, headers, body = auth.prepare(method, url, dict(headers), body)
        response = await self.session.post(
            url, content=body, headers=headers, follow_redirects=False
        )
        return self.parse_response_token(response)


def refused(detail: str) -> ApiError:
    """The provider does not vouch for whoever asks."""
    return ApiError(ErrorType.provider_refused, detail)


class Provider:
    """One provider, as the operator has configured it."""

    def __init__(
        self, settings: OidcSettings, egress_settings: EgressSettings, resolve: Resolve
    ) -> None:
        if not settings.issuer:
            raise ValueError("RAYSCRIBE_OIDC_ISSUER is not set")
        self.issuer = settings.issuer
        self.settings = settings
        parts = urlsplit(settings.issuer)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        allowed = f"{egress_settings.allow},{parts.hostname}:{port}"
        self._egress = egress_settings.model_copy(update={"allow": allowed})
        self._resolve = resolve
        self._configuration: Configuration | None = None
        self._keys: KeySet | None = None
        self._read_at = 0.0

    async def begin(self) -> tuple[str, Pending]:
        """Where to send the browser, and what it has to bring back.

        Raises:
            ApiError: `provider_unreachable`.
        """
        configuration = await self._configured()
        pending = Pending(
            state=generate_token(32), nonce=generate_token(32), code_verifier=generate_token(64)
        )
        client = self._client(configuration, None)
        url, _ = client.create_authorization_url(
            configuration.authorization_endpoint, **pending.model_dump()
        )
        return url, pending

    async def finish(self, pending: Pending, code: str, issuer: str | None) -> dict[str, Any]:
        """What the provider says of whoever comes back with this code: the ID token's claims.

        `issuer` is the parameter of the callback: it must be there where the provider promises it
        (RFC 9207), so that no code of another provider is taken for one of this.

        Raises:
            ApiError: `provider_refused` or `provider_unreachable`.
        """
        configuration = await self._configured()
        promised = configuration.authorization_response_iss_parameter_supported
        if issuer != self.issuer and (issuer is not None or promised):
            raise refused("The answer does not come from the provider that was asked.")
        tokens = await self._exchange(configuration, pending, code)
        claims = await self._claims(configuration, tokens, pending.nonce)
        wanted = {"email", self.settings.admin_claim or "email"}
        if configuration.userinfo_endpoint and not wanted <= claims.keys():
            url = configuration.userinfo_endpoint
            return {**await self._user_info(url, tokens, claims["sub"]), **claims}
        return claims

    def _http(self) -> httpx.AsyncClient:
        return egress.client(self._egress, resolve=self._resolve)

    def _client(self, configuration: Configuration, http: httpx.AsyncClient | None) -> OAuth2Client:
        secret = self.settings.client_secret
        offered = configuration.token_endpoint_auth_methods_supported
        basic = "client_secret_basic" in offered or "client_secret_post" not in offered
        method = "client_secret_basic" if basic else "client_secret_post"
        return _TokenClient(
            http,
            client_id=self.settings.client_id,
            client_secret=secret.get_secret_value() if secret else None,
            token_endpoint_auth_method=method if secret else "none",
            scope=self.settings.scopes,
            redirect_uri=self.settings.redirect_uri,
            code_challenge_method="S256",
        )

    async def _configured(self) -> Configuration:
        age = time.monotonic() - self._read_at
        if self._configuration is None or age > KEPT_SECONDS:
            url = self.issuer.rstrip("/") + WELL_KNOWN
            document = await self._get(url)
            try:
                configuration = Configuration.model_validate(document)
            except ValidationError as error:
                raise _unreachable(url, error) from error
            _check(configuration, self.issuer)
            self._configuration, self._keys = configuration, None
            self._read_at = time.monotonic()
        return self._configuration

    async def _get(self, url: str, **headers: str) -> Any:
        try:
            async with self._http() as http:
                response = await http.get(url, headers=headers, follow_redirects=False)
                return response.raise_for_status().json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _unreachable(url, error) from error

    async def _exchange(
        self, configuration: Configuration, pending: Pending, code: str
    ) -> dict[str, Any]:
        url = configuration.token_endpoint
        try:
            async with self._http() as http:
                tokens: dict[str, Any] = await self._client(configuration, http).fetch_token(
                    url,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=pending.code_verifier,
                )
        except OAuth2Error as error:
            logger.warning("the provider refused a code", error=error.error)
            raise refused("The provider does not take the code: begin again.") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _unreachable(url, error) from error
        return tokens

    async def _claims(
        self, configuration: Configuration, tokens: dict[str, Any], nonce: str
    ) -> dict[str, Any]:
        expected = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self.settings.client_id},
            "sub": {"essential": True},
        }
        asked = {
            "nonce": nonce,
            "client_id": self.settings.client_id,
            "access_token": tokens.get("access_token"),
        }
        try:
            token = await self._decoded(configuration, tokens.get("id_token"))
            claims = CodeIDToken(token.claims, token.header, expected, asked)
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            logger.warning("an ID token was refused", error=repr(error))
            raise refused("The provider's ID token is not valid here.") from error
        return dict(claims)

    async def _decoded(self, configuration: Configuration, id_token: Any) -> jwt.Token:
        if not isinstance(id_token, str):
            raise TypeError("the provider sent no ID token")
        offered = configuration.id_token_signing_alg_values_supported
        registry = JWSRegistry(
            algorithms=sorted(ALGORITHMS.intersection(offered)), strict_check_header=False
        )
        try:
            return jwt.decode(id_token, await self._key_set(configuration), registry=registry)
        except InvalidKeyIdError:
            # The provider has changed its keys since we asked.
            self._keys = None
            return jwt.decode(id_token, await self._key_set(configuration), registry=registry)

    async def _key_set(self, configuration: Configuration) -> KeySet:
        if self._keys is None:
            document = await self._get(configuration.jwks_uri)
            try:
                usable = [key for key in document["keys"] if _verifies(key)]
                self._keys = KeySet.import_key_set({"keys": usable})
            except (JoseError, KeyError, ValueError, TypeError, AttributeError) as error:
                raise _unreachable(configuration.jwks_uri, error) from error
        return self._keys

    async def _user_info(self, url: str, tokens: dict[str, Any], subject: str) -> dict[str, Any]:
        answer = await self._get(url, Authorization=f"Bearer {tokens.get('access_token')}")
        # Of somebody else it must not be used (OpenID Connect Core 1.0, 5.3.2).
        if not isinstance(answer, dict) or answer.get("sub") != subject:
            raise refused("The provider's answers are about different people.")
        return answer


def _verifies(key: dict[str, Any]) -> bool:
    return key.get("kty") in KEY_TYPES and key.get("use", "sig") == "sig"


def _check(configuration: Configuration, issuer: str) -> None:
    if configuration.issuer != issuer:
        reason = f"it calls itself {configuration.issuer!r}"
        raise _unreachable(issuer, ValueError(reason))
    endpoints = (
        configuration.authorization_endpoint,
        configuration.token_endpoint,
        configuration.jwks_uri,
        *filter(None, [configuration.userinfo_endpoint]),
    )
    for endpoint in endpoints:
        if not is_private_channel(endpoint):
            raise _unreachable(issuer, ValueError(f"{endpoint!r} is not https"))


def _unreachable(url: str, error: Exception) -> ApiError:
    logger.error("the sign-in provider cannot be used", url=url, error=repr(error))
    return ApiError(
        ErrorType.provider_unreachable, "The sign-in provider gives no answer that can be used."
    )
