"""Routes of sessions: sign out here, elsewhere, everywhere."""

import uuid

from fastapi import APIRouter

from api.auth import service
from api.auth.schemas import SessionOut
from api.callers import WhoCalls
from api.dependencies import CurrentSession, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from db.models import RefreshToken
from db.queries import refresh_tokens

router = APIRouter(prefix="/api/auth", tags=["auth"], route_class=EnvelopeRoute)


def _shown(token: RefreshToken, current: uuid.UUID) -> SessionOut:
    return SessionOut(
        id=token.family_id,
        created_at=token.session_started_at,
        last_used_at=token.created_at,
        expires_at=token.expires_at,
        user_agent=token.user_agent,
        address=token.address,
        is_current=token.family_id == current,
    )


@router.get(
    "/sessions",
    summary="List sessions",
    response_description="Sessions",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_sessions(
    session: Session, current: CurrentSession, paging: Paging
) -> Page[SessionOut]:
    """Where the account is signed in, the last used first."""
    found, total = await refresh_tokens.page(
        session, current.user.id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([_shown(token, current.claims.family_id) for token in found], total)


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    summary="End a session",
    responses=owned_errors(),
)
async def end_session(
    session: Session, current: CurrentSession, session_id: uuid.UUID, caller: WhoCalls
) -> None:
    """Sign out one of one's own sessions at once, wherever it is."""
    await service.end_session(session, current.user.id, session_id, caller)


@router.post("/logout", status_code=204, summary="Sign out", responses=SIGNED_IN)
async def logout(session: Session, current: CurrentSession, caller: WhoCalls) -> None:
    """End this session at once: neither its access tokens nor its refresh token work again."""
    await service.leave(session, current, caller)


@router.post("/logout/all", status_code=204, summary="Sign out everywhere", responses=SIGNED_IN)
async def logout_all(session: Session, current: CurrentSession, caller: WhoCalls) -> None:
    """End all sessions of the account at once, this one too."""
    await service.end_all_sessions(session, current.user.id, caller)
