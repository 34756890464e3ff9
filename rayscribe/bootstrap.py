"""The first administrator, and the credential that the command line of this machine uses."""

import asyncio
import json
import secrets
from pathlib import Path

from pydantic import BaseModel, SecretStr

from api.security import Passwords
from cluster.embedded.state import write_private
from cluster.settings import AuthSettings, DatabaseSettings
from db.engine import create_engine, create_sessions, session_scope
from db.models import Role
from db.queries import users

CREDENTIAL = "credential.json"
ADMIN_EMAIL = "admin@localhost.local"


class Credential(BaseModel):
    """What the local command line signs in with."""

    email: str
    password: str


def ensure_admin(environment: dict[str, str]) -> str | None:
    """Make the administrator of a new database; say the password, which is shown this once."""
    password = secrets.token_urlsafe(16)
    if not asyncio.run(add_user(environment["DATABASE_URL"], ADMIN_EMAIL, password, Role.admin)):
        return None
    path = Path(environment["RAYSCRIBE_DATA_DIR"]) / CREDENTIAL
    write_private(path, Credential(email=ADMIN_EMAIL, password=password).model_dump_json())
    return f"administrator {ADMIN_EMAIL}, password {password} (kept in {path}, for you alone)"


async def add_user(database_url: str, email: str, password: str, role: Role) -> bool:
    """Add an account; False where the address has one already."""
    engine = create_engine(DatabaseSettings(url=SecretStr(database_url)))
    try:
        hashed = await Passwords(AuthSettings()).hash(password)
        async with session_scope(create_sessions(engine)) as session:
            return (
                await users.add(session, email=email, password_hash=hashed, role=role) is not None
            )
    finally:
        await engine.dispose()


def load_credential(data_dir: Path) -> Credential | None:
    """The credential kept in a data directory, if any."""
    path = data_dir / CREDENTIAL
    return Credential(**json.loads(path.read_text())) if path.exists() else None
