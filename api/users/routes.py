"""Routes of accounts: /api/users."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from api.accounts import UserOut
from api.callers import WhoCalls
from api.dependencies import App, CurrentAdmin, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import ADMIN_TYPES, SIGNED_IN, SIGNED_IN_TYPES, errors
from api.pagination import Page, Paging
from api.users import removal, service
from api.users.schemas import NewUser, OwnChange, UserChange
from db.models import Role
from db.queries import users

router = APIRouter(prefix="/api/users", tags=["users"], route_class=EnvelopeRoute)

ONE_USER = (*ADMIN_TYPES, ErrorType.not_found, ErrorType.validation_error)


@router.get("/me", summary="One's own account", response_description="Account", responses=SIGNED_IN)
async def show_own(user: CurrentUser) -> UserOut:
    """The account of whoever asks."""
    return UserOut.model_validate(user)


@router.put(
    "/me",
    summary="Change one's own account",
    response_description="Account changed",
    responses=errors(
        *SIGNED_IN_TYPES,
        ErrorType.wrong_password,
        ErrorType.email_taken,
        ErrorType.validation_error,
        ErrorType.too_many_attempts,
    ),
)
async def change_own(
    services: App, user: CurrentUser, wanted: OwnChange, caller: WhoCalls
) -> UserOut:
    """Change name or address; another address needs the current password.

    Role and activity are not one's own to change; a password is at `POST /api/auth/password`.
    """
    return UserOut.model_validate(await service.change_own(services, user, wanted, caller))


@router.get(
    "",
    summary="List accounts",
    response_description="Accounts",
    responses=errors(*ADMIN_TYPES, ErrorType.validation_error),
)
async def list_users(
    session: Session,
    _: CurrentAdmin,
    paging: Paging,
    search: Annotated[
        str | None,
        Query(
            max_length=255,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="Part of an address or a name, whatever its case",
        ),
    ] = None,
    role: Annotated[Role | None, Query(description="Only with this role")] = None,
    is_active: Annotated[bool | None, Query(description="Only active or disabled ones")] = None,
) -> Page[UserOut]:
    """All accounts, newest first, for administrators."""
    found, total = await users.page(
        session,
        search=search,
        role=role,
        is_active=is_active,
        limit=paging.page_size,
        offset=paging.offset,
    )
    return paging.of([UserOut.model_validate(user) for user in found], total)


@router.post(
    "",
    status_code=201,
    summary="Create an account for somebody",
    response_description="Account created",
    responses=errors(*ADMIN_TYPES, ErrorType.email_taken, ErrorType.validation_error),
)
async def create(services: App, admin: CurrentAdmin, wanted: NewUser, caller: WhoCalls) -> UserOut:
    """Make an account, also where registration is closed."""
    return UserOut.model_validate(await service.create(services, admin, wanted, caller))


@router.get(
    "/{user_id}",
    summary="One account",
    response_description="Account",
    responses=errors(*ONE_USER),
)
async def show(session: Session, _: CurrentAdmin, user_id: uuid.UUID) -> UserOut:
    """Somebody's account, for administrators."""
    return UserOut.model_validate(await users.get(session, user_id))


@router.put(
    "/{user_id}",
    summary="Change an account",
    response_description="Account changed",
    responses=errors(*ONE_USER, ErrorType.conflict, ErrorType.email_taken),
)
async def change(
    services: App, admin: CurrentAdmin, user_id: uuid.UUID, wanted: UserChange, caller: WhoCalls
) -> UserOut:
    """Change role, activity, name, address or password of somebody.

    Disabling an account, or setting its password, ends its sessions at once. Administrators cannot
    disable or demote themselves, so that there is always one.
    """
    return UserOut.model_validate(await service.change(services, admin, user_id, wanted, caller))


@router.delete(
    "/{user_id}",
    status_code=204,
    summary="Delete an account",
    responses=errors(*ONE_USER, ErrorType.conflict),
)
async def delete(services: App, admin: CurrentAdmin, user_id: uuid.UUID, caller: WhoCalls) -> None:
    """Delete somebody with all files, transcripts and whatever else is theirs; tasks are cancelled.

    Administrators cannot delete themselves.
    """
    await removal.remove(services, admin, user_id, caller)
