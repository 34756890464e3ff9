"""Who may write to the stores of search now: advisory locks, which end with their process.

One writer at a time brings a file to a store: one who was slow and died would leave there what is
outdated, with nobody to notice. And who writes to the keyword store writes to the index that is
searched and to the one that takes its place soon; if they were exchanged between these two writes,
the old passages of the file would be searched from then on.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select

from db.engine import Sessions, session_scope
from db.models import Destination

EXCHANGE = 0x72617973_73656172
"""Of many who write to the keyword store, or of one who exchanges its indexes."""


@asynccontextmanager
async def writing(
    sessions: Sessions, destination: Destination, which: uuid.UUID
) -> AsyncIterator[bool]:
    """Whether a file, or an account, is ours to write; then nobody else writes it meanwhile.

    Nor are indexes made, exchanged or dropped. The transaction holds nothing but that.

    Raises:
        StoreUnavailable: indexes are being exchanged, for longer than a statement may take.
    """
    async with session_scope(sessions) as session:
        key = func.hashtextextended(f"search {destination} {which}", 0)
        ours = bool(await session.scalar(select(func.pg_try_advisory_xact_lock(key))))
        if ours and destination is Destination.keywords:
            await session.execute(select(func.pg_advisory_xact_lock_shared(EXCHANGE)))
        yield ours


@asynccontextmanager
async def exchanging(sessions: Sessions) -> AsyncIterator[None]:
    """Nobody writes to the keyword store meanwhile; who is at it is waited for.

    Raises:
        StoreUnavailable: somebody is, for longer than a statement may take.
    """
    async with session_scope(sessions) as session:
        await session.execute(select(func.pg_advisory_xact_lock(EXCHANGE)))
        yield
