"""Short-lived tokens in addresses of media: what a `<video>` or `<audio>` tag can use.

Such a token opens one kind of thing of one file for one user, for as long as the session lives in
which it was made. It is no access token, and no access token is one: `aud` and `typ` differ.
"""

import time
import uuid
from dataclasses import dataclass
from enum import StrEnum

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jwt import JWTClaimsRegistry

from api.errors import ApiError, ErrorType
from api.security import ALGORITHM, ISSUER

AUDIENCE = "rayscribe-media"
MEDIA = "media"
IDS = ("sub", "sid", "file")


class MediaKind(StrEnum):
    """What a token opens."""

    media = "media"
    thumbnail = "thumbnail"
    subtitled = "subtitled"


@dataclass(frozen=True, slots=True)
class MediaClaims:
    """Who may see what, and in which session they asked for it."""

    user_id: uuid.UUID
    family_id: uuid.UUID
    file_id: uuid.UUID
    kind: MediaKind


class MediaTokens:
    """Signs and reads media tokens."""

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)
        self._claims = JWTClaimsRegistry(
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            typ={"essential": True, "value": MEDIA},
            sub={"essential": True},
            sid={"essential": True},
            file={"essential": True},
            kind={"essential": True},
            exp={"essential": True},
        )

    def issue(self, claims: MediaClaims, lifetime_seconds: int) -> tuple[str, int]:
        """A token, and when it expires (seconds since 1970)."""
        expires = int(time.time()) + lifetime_seconds
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "typ": MEDIA,
            "sub": str(claims.user_id),
            "sid": str(claims.family_id),
            "file": str(claims.file_id),
            "kind": claims.kind,
            "exp": expires,
        }
        token = jwt.encode({"alg": ALGORITHM}, payload, self._key, algorithms=[ALGORITHM])
        return token, expires

    def read(self, token: str) -> MediaClaims:
        """Check a token's signature and claims.

        Raises:
            ApiError: `invalid_token`, without saying what is wrong with it.
        """
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            self._claims.validate(claims)
            user_id, family_id, file_id = (uuid.UUID(claims[each]) for each in IDS)
            return MediaClaims(user_id, family_id, file_id, MediaKind(claims["kind"]))
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise refused() from error


def refused() -> ApiError:
    """The refusal of a media token."""
    return ApiError(
        ErrorType.invalid_token,
        "This address has expired or is not valid: ask for a new one with "
        "POST /api/files/streaming/{file_id}/url.",
    )
