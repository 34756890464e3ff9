"""Requests that make work once, however often they are sent: the `Idempotency-Key` header.

The answer is kept in the transaction that makes the work, so that a crash leaves both or neither;
its primary key is what makes a second one impossible. The lock, which lasts as long as the request
runs, only tells a second request at once that the first one is still in progress. A route asks for
`Once`, and:

    async with once.guarded({"sha256": …}) as keep:
        …
        async with session_scope(services.sessions) as session:
            …
            return await keep(session, answer)
"""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CurrentUser
from api.envelope import Envelope
from api.errors import ApiError, ErrorType
from db.engine import Sessions
from db.guards import guard
from db.models import IdempotencyKey
from db.queries import idempotency_keys

Answer = TypeVar("Answer", bound=BaseModel)

IDEMPOTENT = (
    ErrorType.idempotency_in_progress,
    ErrorType.idempotency_key_reused,
    ErrorType.server_busy,
    ErrorType.store_unavailable,
    ErrorType.validation_error,
)
"""What a route that takes a key may refuse with."""

REPLAYED_HEADER = "Idempotent-Replayed"


class Replayed(Exception):
    """The request was answered before: this is the answer (api.error_handlers sends it)."""

    def __init__(self, status_code: int, body: Mapping[str, Any]) -> None:
        super().__init__(status_code, body)
        self.status_code = status_code
        self.body = body


def _in_progress() -> ApiError:
    return ApiError(
        ErrorType.idempotency_in_progress,
        "A request with this Idempotency-Key is in progress; its answer will be kept for you.",
    )


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps the answer of a request; without a key there is nothing to keep."""

    user_id: uuid.UUID
    key: str | None
    fingerprint: str
    status_code: int
    message: str

    async def __call__(self, session: AsyncSession, answer: Answer) -> Answer:
        """Keep a success, in the transaction that makes the work, as its last statement.

        Raises:
            ApiError: `idempotency_in_progress`, the same request was quicker after all: whatever
                this transaction did is undone.
        """
        if self.key is not None:
            body = Envelope[Any](data=answer.model_dump(mode="json"), message=self.message)
            added = await idempotency_keys.add(
                session,
                self.user_id,
                self.key,
                fingerprint=self.fingerprint,
                status_code=self.status_code,
                body=body.model_dump(mode="json"),
            )
            if not added:
                raise _in_progress()
        return answer


@dataclass(frozen=True, slots=True)
class Guarded:
    """A request that is to have its effect once."""

    guards: Sessions
    user_id: uuid.UUID
    key: str | None
    method: str
    path: str
    status_code: int
    message: str

    @asynccontextmanager
    async def guarded(self, content: Mapping[str, Any]) -> AsyncIterator[Keeper]:
        """Keep out other requests with the same key while the block runs.

        `content` says what the request asks for, beyond its path, as JSON. Enter this before the
        first statement of any other session, and within what a hang-up does not interrupt. Without
        a key it does nothing, and takes no connection.

        Raises:
            Replayed: the request was answered before.
            ApiError: it is in progress, or its key belongs to another request.
        """
        keeper = Keeper(
            self.user_id, self.key, self._fingerprint(content), self.status_code, self.message
        )
        if self.key is None:
            yield keeper
            return
        async with guard(self.guards, "idempotency", str(self.user_id), self.key) as session:
            if session is None:
                raise _in_progress()
            kept = await idempotency_keys.get(session, self.user_id, self.key)
            if kept is not None:
                raise _repeated(kept, keeper.fingerprint)
            yield keeper

    def _fingerprint(self, content: Mapping[str, Any]) -> str:
        request = json.dumps([self.method, self.path, content], sort_keys=True)
        return hashlib.sha256(request.encode()).hexdigest()


def _repeated(kept: IdempotencyKey, fingerprint: str) -> Exception:
    if kept.fingerprint == fingerprint:
        return Replayed(kept.status_code, kept.body)
    return ApiError(
        ErrorType.idempotency_key_reused,
        "This Idempotency-Key was used for a request with another method, path or content.",
    )


async def _once(
    request: Request,
    services: App,
    user: CurrentUser,
    idempotency_key: Annotated[
        str | None,
        Header(
            # ASCII: a header's other bytes have no agreed meaning.
            pattern=r"^[\x20-\x7e]{1,255}$",
            description="Any text of your own, up to 255 printable characters, new for each "
            "request: sent again with it, the request gets the first answer again (and the header "
            f"`{REPLAYED_HEADER}: true`), and has no second effect. Kept for a day.",
            examples=["7f9c3f0e-5d0f-4a3e-9c1b-2f6d0f8f3a11"],
        ),
    ] = None,
) -> Guarded:
    route = request.scope["route"]
    if not isinstance(route, APIRoute):
        raise TypeError(f"{route} is no route of the API")
    return Guarded(
        guards=services.guards,
        user_id=user.id,
        key=idempotency_key,
        method=request.method,
        path=request.url.path,
        status_code=route.status_code or 200,
        message=route.response_description,
    )


Once = Annotated[Guarded, Depends(_once)]
"""What a route that makes work asks for."""
