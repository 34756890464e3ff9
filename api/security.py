"""Passwords (Argon2id), access tokens (JWT) and refresh tokens (random, stored as hashes)."""

import asyncio
import hashlib
import secrets
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jwt import JWTClaimsRegistry

from api.errors import ApiError, ErrorType
from cluster.settings import AuthSettings

ALGORITHM = "HS256"
ISSUER = "rayscribe"
AUDIENCE = "rayscribe-api"
ACCESS = "access"
MIN_SECRET_BYTES = 32
REFRESH_TOKEN_BYTES = 32
HASHING_THREADS = 2

T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords, in threads of its own.

    A flood of sign-ins costs memory (Argon2) and must not hold up the threads that talk to the
    object store.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._hasher = PasswordHasher(memory_cost=settings.argon2_memory_kib)
        self._threads = ThreadPoolExecutor(HASHING_THREADS, "argon2")
        # Checked where the address is unknown, so that this takes as long as a wrong password.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The Argon2id hash of a password, with its salt and parameters."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._hasher.hash, password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is right; None (nobody) takes as long and is wrong."""
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(
            self._threads, self._verify, password_hash or self._nobody, password
        )
        return right and password_hash is not None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        # Nobody's password holds half a character, which has no bytes to hash.
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Who an access token speaks for, and in which session."""

    user_id: uuid.UUID
    family_id: uuid.UUID


class AccessTokens:
    """Signs and reads access tokens."""

    def __init__(self, settings: AuthSettings) -> None:
        secret = settings.secret_key.get_secret_value() if settings.secret_key else ""
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(
                f"SECRET_KEY is not set or shorter than {MIN_SECRET_BYTES} bytes: "
                "start with `rayscribe up`, or set a random one"
            )
        self.secret = secret
        self._key = OctKey.import_key(secret)
        self.lifetime_seconds = settings.access_token_minutes * 60
        self._claims = JWTClaimsRegistry(
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            typ={"essential": True, "value": ACCESS},
            sub={"essential": True},
            sid={"essential": True},
            jti={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )

    def issue(self, user_id: uuid.UUID, family_id: uuid.UUID) -> str:
        """A token for a user's session."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "typ": ACCESS,
            "sub": str(user_id),
            "sid": str(family_id),
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + self.lifetime_seconds,
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM])

    def read(self, token: str) -> AccessClaims:
        """Check a token's signature and claims.

        Raises:
            ApiError: `invalid_token`, without saying what is wrong with it.
        """
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            self._claims.validate(claims)
            return AccessClaims(uuid.UUID(claims["sub"]), uuid.UUID(claims["sid"]))
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise invalid_token() from error


def invalid_token() -> ApiError:
    """The refusal of an access token (RFC 6750)."""
    return ApiError(
        ErrorType.invalid_token,
        "The access token is expired, revoked or not valid.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def new_refresh_token() -> str:
    """A random token of 256 bits."""
    return secrets.token_urlsafe(REFRESH_TOKEN_BYTES)


def refresh_token_hash(token: str) -> str:
    """What is stored of a refresh token; random enough that no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
