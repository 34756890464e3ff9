"""Writes passages to PostgreSQL, and keeps count of the words each owner has.

One transaction writes passages of one owner, and holds a lock of him: what it adds to the counts
is the difference to the passages that it found.
"""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.keywords import postgres_statements as statements
from db.keywords.postgres_rows import Given
from db.keywords.postgres_statements import statement

OWNER_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:which, 0))")


async def lock(session: AsyncSession, number: int, owner_id: uuid.UUID) -> None:
    """Keep others from writing passages of an owner until the transaction ends."""
    await session.execute(OWNER_LOCK, {"which": f"rayscribe keywords {number} {owner_id}"})


async def write(session: AsyncSession, number: int, owner_id: uuid.UUID, given: Given) -> None:
    """Store passages of an owner."""
    await lock(session, number, owner_id)
    await session.execute(statement(statements.PUT_FILES, number), {"files": given.files})
    fresh = {"passages": given.passages}
    unsaid = (await session.execute(statement(statements.PASSAGES, number), fresh)).all()
    await _forget(session, number, owner_id, [(word, stemmer) for word, stemmer in unsaid])


async def remove(
    session: AsyncSession,
    number: int,
    owner_id: uuid.UUID,
    media_file_id: uuid.UUID | None,
    keep: Collection[uuid.UUID],
    most: int,
) -> int:
    """Remove at most so many passages of an owner; how many there were to remove."""
    await lock(session, number, owner_id)
    which = {"owner": owner_id, "file": media_file_id}
    given = {**which, "keep": list(keep), "most": most}
    found = (await session.execute(statement(statements.GONE, number), given)).all()
    unsaid = [(word, stemmer) for word, stemmer, _ in found if word is not None]
    await _forget(session, number, owner_id, unsaid)
    await session.execute(statement(statements.EMPTY_FILES, number), which)
    return sum(count for _, _, count in found)


async def _forget(
    session: AsyncSession, number: int, owner_id: uuid.UUID, words: Sequence[tuple[str, str]]
) -> None:
    """Remove words that are in none of an owner's passages any more."""
    if words:
        said, stemmers = map(list, zip(*words, strict=True))
        given = {"owner": owner_id, "words": said, "stemmers": stemmers}
        await session.execute(statement(statements.UNSAID, number), given)
