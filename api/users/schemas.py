"""Bodies of the routes of accounts."""

from pydantic import BaseModel, ConfigDict

from api.accounts import Email, FullName, Password
from api.schemas import documented
from db.models import Role


class OwnChange(BaseModel):
    """What somebody changes of their own account; what is left out stays."""

    full_name: FullName | None = None
    """How they are called."""
    email: Email | None = None
    """The address to sign in with; another one needs `current_password`."""
    current_password: Password | None = None
    """The password that holds now."""

    model_config = ConfigDict(
        **documented({"email": "ada@example.com", "current_password": "correct horse battery"}),
        extra="forbid",
    )


class NewUser(BaseModel):
    """An account that an administrator makes."""

    email: Email
    """The address to sign in with."""
    password: Password
    """The first password: tell them to change it."""
    full_name: FullName = ""
    """How they are called."""
    role: Role = Role.user
    """What they may do."""

    model_config = ConfigDict(
        **documented(
            {
                "email": "ada@example.org",
                "password": "correct horse battery",
                "full_name": "Ada",
                "role": "user",
            }
        ),
        extra="forbid",
    )


class UserChange(BaseModel):
    """What an administrator changes of an account; what is left out stays."""

    full_name: FullName | None = None
    """How they are called."""
    email: Email | None = None
    """The address to sign in with."""
    role: Role | None = None
    """What they may do."""
    is_active: bool | None = None
    """Whether they may come in; if not, their sessions end at once."""
    password: Password | None = None
    """A new password for who has lost theirs: it ends their sessions and a lockout."""

    model_config = ConfigDict(
        **documented({"role": "admin", "full_name": "Ada Lovelace"}), extra="forbid"
    )
