"""Bodies of the sign-in routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.accounts import Email, FullName, Password
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented


class Registration(BaseModel):
    """A new account; `/api/auth/password-policy` tells which passwords are taken."""

    email: Email
    """The address to sign in with."""
    password: Password
    """The password."""
    full_name: FullName = ""
    """How they are called."""

    model_config = documented(
        {
            "email": "ada@example.org",
            "password": "correct horse battery",
            "full_name": "Ada",
        }
    )


class TokenPair(BaseModel):
    """An access token, its seconds to live, and the refresh token for the next one."""

    access_token: str
    """Goes into the header `Authorization: Bearer …`."""
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749's word
    """How the access token is used."""
    expires_in: int
    """Seconds for which the access token is good."""
    refresh_token: str
    """Good for one exchange at `/api/auth/token/refresh`."""

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
    """The refresh token."""

    model_config = documented(
        {
            "refresh_token": "q1w2e3…",
        }
    )


class PasswordChange(BaseModel):
    """Another password for the signed-in account."""

    current_password: Password
    """The password that holds now."""
    new_password: Password
    """The password that is to hold."""

    model_config = documented(
        {"current_password": "correct horse battery", "new_password": "staple of wrong donkeys"}
    )


class PasswordPolicy(BaseModel):
    """Which passwords are taken."""

    min_length: int
    """Least characters."""
    max_length: int
    """Most characters."""
    min_different_characters: int
    """Least different characters."""
    refused: tuple[str, ...]
    """What else is refused, for people."""

    model_config = documented(
        {
            "min_length": 10,
            "max_length": 1024,
            "min_different_characters": 5,
            "refused": ["the commonest passwords, also with decoration or in disguise"],
        }
    )


class SignInMethods(BaseModel):
    """The ways in."""

    password: bool = True
    """Email and password at `/api/auth/login`."""
    registration: bool
    """Whether anybody may make an account at `/api/auth/register`."""
    oidc: bool
    """Whether `/api/auth/oidc/login` leads to a provider."""
    oidc_issuer: str | None
    """Which provider that is."""

    model_config = documented(
        {
            "password": True,
            "registration": True,
            "oidc": True,
            "oidc_issuer": "https://id.example.org",
        }
    )


class SessionOut(BaseModel):
    """A session: what grew out of one sign-in."""

    id: uuid.UUID
    """The session's id."""
    created_at: datetime
    """When it began, with a sign-in."""
    last_used_at: datetime
    """When its tokens were last exchanged."""
    expires_at: datetime
    """When it ends unless its tokens are exchanged before."""
    user_agent: str
    """The program that used it last, as it calls itself."""
    address: str
    """Where it was used last."""
    is_current: bool
    """Whether it is the one that asks."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "created_at": EXAMPLE_MOMENT,
            "last_used_at": EXAMPLE_MOMENT,
            "expires_at": EXAMPLE_MOMENT,
            "user_agent": "Mozilla/5.0",
            "address": "192.0.2.17",
            "is_current": True,
        }
    )
