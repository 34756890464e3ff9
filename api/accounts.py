"""What sign-in and the management of users have in common: how an account is sent and shown."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from api.password_policy import MAX_PASSWORD_LENGTH
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import one_line
from db.models import Role

EMAIL_PATTERN = r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"

Email = Annotated[str, Field(pattern=EMAIL_PATTERN, max_length=255)]
FullName = Annotated[str, Field(max_length=255), one_line, Field(max_length=255)]
Password = Annotated[str, Field(max_length=MAX_PASSWORD_LENGTH)]
"""A password as it is sent; whether it is taken is for `api.password_policy` to say."""


class UserOut(BaseModel):
    """An account."""

    id: uuid.UUID
    """The account's id."""
    email: str
    """The address to sign in with."""
    full_name: str
    """How they are called; may be empty."""
    role: Role
    """What they may do."""
    is_active: bool
    """Whether they may come in."""
    created_at: datetime
    """When the account was made."""
    last_sign_in_at: datetime | None
    """When they last signed in; null: never."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "email": "ada@example.org",
            "full_name": "Ada",
            "role": "user",
            "is_active": True,
            "created_at": EXAMPLE_MOMENT,
            "last_sign_in_at": EXAMPLE_MOMENT,
        }
    )
