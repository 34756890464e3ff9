"""Tags and collections that a language model suggests for files, and what people made of them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import SuggestionState, TopicSuggestion


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Suggestions that are this user's."""
    return TopicSuggestion.user_id == user_id


async def find(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> TopicSuggestion | None:
    """What is suggested for a file; None: nothing was that this user may see."""
    found: TopicSuggestion | None = await session.scalar(
        select(TopicSuggestion).where(
            TopicSuggestion.media_file_id == file_id, readable_by(user_id)
        )
    )
    return found


async def get(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, *, lock: bool = False
) -> TopicSuggestion:
    """What is suggested for a file; `lock` keeps it as it is until this transaction ends.

    Raises:
        NotFound: nothing is that this user may see.
    """
    query = select(TopicSuggestion).where(
        TopicSuggestion.media_file_id == file_id, readable_by(user_id)
    )
    found: TopicSuggestion | None = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound("topic suggestion", str(file_id))
    return found


async def store(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, values: Mapping[str, Any]
) -> None:
    """Put a file's suggestions in the place of those before, which nobody has decided on anew."""
    fresh = {**values, "state": SuggestionState.pending, "decisions": {}}
    statement = insert(TopicSuggestion).values(media_file_id=file_id, user_id=user_id, **fresh)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[TopicSuggestion.media_file_id],
            set_={**fresh, "created_at": func.now(), "updated_at": func.now()},
            where=TopicSuggestion.user_id == user_id,
        )
    )


async def decide(
    session: AsyncSession,
    found: TopicSuggestion,
    tags: Sequence[str],
    collections: Sequence[str],
) -> None:
    """Keep what a person made of suggestions that are locked; nothing accepted is rejected."""
    accepted = bool(tags or collections)
    found.state = SuggestionState.accepted if accepted else SuggestionState.rejected
    found.decisions = {"tags": list(tags), "collections": list(collections)}
    await session.flush()
