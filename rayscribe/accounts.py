"""`rayscribe create-user`: add an account."""

import asyncio
import secrets
from typing import Annotated

import typer

from api.password_policy import refusal
from cluster.settings import AuthSettings
from db.models import Role
from rayscribe.bootstrap import add_user
from rayscribe.context import DataDir, Exit, complain, console
from rayscribe.database import database_url


def create_user(
    email: Annotated[str, typer.Argument(help="The address to sign in with.")],
    admin: Annotated[bool, typer.Option("--admin", help="May administer.")] = False,
    password: Annotated[
        str | None,
        typer.Option(
            help="Better left out: then one is generated and shown.", envvar="RAYSCRIBE_PASSWORD"
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add an account."""
    if "@" not in email.strip("@"):
        complain(f"{email!r} is no e-mail address")
        raise typer.Exit(Exit.usage)
    shortest = AuthSettings().min_password_length
    if password is not None and (found := refusal(password, shortest, email)) is not None:
        complain(found[0])
        raise typer.Exit(Exit.usage)
    chosen = password or secrets.token_urlsafe(16)
    role = Role.admin if admin else Role.user
    if not asyncio.run(add_user(database_url(data_dir), email, chosen, role)):
        complain(f"there is an account {email} already")
        raise typer.Exit(Exit.failed)
    console.print(f"{role} {email}", highlight=False)
    if password is None:
        console.print(f"password {chosen} (shown this once)", highlight=False, markup=False)
