"""Who reads media: by access token, or by the token in a signed address."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Query

from api.dependencies import App, Services, bearer, sign_in
from api.errors import ApiError, ErrorType
from api.media_tokens import MediaClaims, MediaKind, refused
from db.engine import session_scope
from db.models import User
from db.queries import users

MAX_TOKEN_CHARACTERS = 2000

Token = Annotated[
    str | None,
    Query(
        max_length=MAX_TOKEN_CHARACTERS,
        description="From `POST …/url`, in place of an access token",
    ),
]


def _reader_of(kind: MediaKind) -> Callable[..., Awaitable[User]]:
    async def reader(
        services: App,
        file_id: uuid.UUID,
        access_token: Annotated[str | None, Depends(bearer)],
        token: Token = None,
    ) -> User:
        if token is not None:
            return await _signed_for(services, token, file_id, kind)
        if not access_token:
            raise ApiError(
                ErrorType.not_authenticated,
                "Send an access token as a bearer token, or use an address from POST …/url.",
            )
        return (await sign_in(services, access_token)).user

    return reader


async def _signed_for(services: Services, token: str, file_id: uuid.UUID, kind: MediaKind) -> User:
    """Whom a media token speaks for, if it is for this, and they are still signed in."""
    claims = services.media_tokens.read(token)
    wanted = MediaClaims(claims.user_id, claims.family_id, file_id, kind)
    async with session_scope(services.sessions) as session:
        user = await users.signed_in(session, claims.user_id, claims.family_id)
    if claims != wanted or user is None:
        raise refused()
    return user


MediaReader = Annotated[User, Depends(_reader_of(MediaKind.media))]
ThumbnailReader = Annotated[User, Depends(_reader_of(MediaKind.thumbnail))]
SubtitledReader = Annotated[User, Depends(_reader_of(MediaKind.subtitled))]
