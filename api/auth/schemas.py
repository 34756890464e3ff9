"""Bodies of the sign-in routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from db.models import Role

EMAIL_PATTERN = r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"
MAX_PASSWORD_LENGTH = 1024

Email = Annotated[str, Field(pattern=EMAIL_PATTERN, max_length=255)]


class Registration(BaseModel):
    """A new account. The shortest password allowed is a setting of the installation."""

    email: Email
    password: Annotated[str, Field(max_length=MAX_PASSWORD_LENGTH)]
    full_name: Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""

    model_config = documented(
        {
            "email": "ada@example.org",
            "password": "correct horse battery",
            "full_name": "Ada",
        }
    )


class UserOut(BaseModel):
    """An account."""

    id: uuid.UUID
    email: str
    full_name: str
    role: Role
    is_active: bool
    created_at: datetime

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "email": "ada@example.org",
            "full_name": "Ada",
            "role": "user",
            "is_active": True,
            "created_at": EXAMPLE_MOMENT,
        }
    )


class TokenPair(BaseModel):
    """An access token, its seconds to live, and the refresh token for the next one."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749's word
    expires_in: int
    refresh_token: str

    model_config = documented(
        {
            "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJ…",
            "token_type": "bearer",
            "expires_in": 900,
            "refresh_token": "q1w2e3…",
        }
    )


class RefreshRequest(BaseModel):
    """A refresh token to be exchanged."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=512)]

    model_config = documented(
        {
            "refresh_token": "q1w2e3…",
        }
    )
