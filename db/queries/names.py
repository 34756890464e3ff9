"""Names that each user has once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NameTaken


@asynccontextmanager
async def unless_taken(
    session: AsyncSession, constraint: str, kind: str, name: str
) -> AsyncIterator[None]:
    """A part of a transaction that gives something a name.

    Raises:
        NameTaken: `constraint` forbids it, however close the race; this part is undone.
    """
    try:
        async with session.begin_nested():
            yield
    except IntegrityError as error:
        if constraint not in str(error.orig):
            raise
        raise NameTaken(kind, name) from error
