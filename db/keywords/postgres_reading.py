"""Reads an owner's passages from PostgreSQL: candidates by the index, ranked, as they are shown.

Only so many candidates are ranked: words of most of a million passages say little of each.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.keywords import postgres_rows as rows
from db.keywords import postgres_statements as statements
from db.keywords.port import PassageFilters
from db.keywords.postgres_query import NEARNESS, RANKED, Question, Questions
from db.keywords.postgres_statements import statement

WEIGHTS = (1.0, 0.1, 0.1, 0.6)
"""Of a word that is said (D in PostgreSQL), and, last, of one in the title (A)."""

# The best plan depends on who asks, and for what. What is asked has an index: to read a whole table
# seems cheaper to the planner where it takes words that are said together for independent.
# A bitmap of a million passages needs room to be exact.
PLANNING = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), "
    "set_config('enable_seqscan', 'off', true), set_config('work_mem', '64MB', true)"
)

Parameters = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A passage, and what it is worth."""

    row: Row[Any]
    score: float


async def plan(session: AsyncSession) -> None:
    """How questions are planned until the transaction ends."""
    await session.execute(PLANNING)


async def matching(
    session: AsyncSession, number: int, owner_id: uuid.UUID, filters: PassageFilters
) -> Sequence[uuid.UUID] | None:
    """The owner's files that filters leave; None: they say nothing of files."""
    wanted = _wanted(owner_id, filters)
    if wanted == _wanted(owner_id, PassageFilters()):
        return None
    return (await session.scalars(statement(statements.FILES, number), wanted)).all()


def _wanted(owner_id: uuid.UUID, filters: PassageFilters) -> Parameters:
    ids = filters.media_file_ids
    return {
        "owner": owner_id,
        "ids": list(ids) if ids is not None else None,
        "tags": sorted({rows.key(name) for name in filters.tags}),
        "collection": filters.collection_id,
        "from_date": filters.from_date,
        "before_date": filters.before_date,
        "min_duration": filters.min_duration,
        "max_duration": filters.max_duration,
        "min_size": filters.min_file_size,
        "max_size": filters.max_file_size,
        "types": [rows.key(one) for one in filters.file_types] or None,
        "language": rows.key(filters.language) if filters.language is not None else None,
        "title": rows.key(filters.title) if filters.title is not None else None,
    }


async def find(
    session: AsyncSession,
    number: int,
    owner_id: uuid.UUID,
    questions: Questions,
    within: Sequence[uuid.UUID] | None,
    limit: int,
) -> list[Found]:
    """The best candidates: all that have everything that is asked before those that have some."""
    asked: Parameters = {
        "owner": owner_id,
        "weights": list(WEIGHTS),
        "questions": [part.question for part in questions.parts],
        "shares": [part.weight for part in questions.parts],
        "counts": [part.words for part in questions.parts],
        "near": questions.near,
        "pairs": list(questions.pairs),
        "nearness": NEARNESS,
        "ranked": max(RANKED, limit),
    }
    if within is not None:
        asked["files"] = list(within)
    found: list[Found] = []
    for place, question in enumerate(questions.asked):
        if len(found) < limit:
            given = {**asked, "question": question.text, "most": limit - len(found)}
            best = await session.execute(statement(_way(question, within), number), given)
            found += [Found(row, _score(row.score, has_all=place == 0)) for row in best]
    return sorted(found, key=lambda one: -one.score)


def _way(question: Question, within: Sequence[uuid.UUID] | None) -> str:
    """The statement that finds what answers a question soonest."""
    if within is not None:
        return statements.FIND_BY_FILES
    return statements.FIND_BY_OWNER if question.is_frequent else statements.FIND_BY_WORDS


def _score(ranked: float, *, has_all: bool) -> float:
    """From 0 to 1, those that have everything in the upper half."""
    return (has_all + min(ranked / (1 + 2 * NEARNESS), 1.0)) / 2


async def browse(
    session: AsyncSession, number: int, owner_id: uuid.UUID, filters: PassageFilters, limit: int
) -> list[Found]:
    """What filters of files leave, of the newest files first."""
    asked = {**_wanted(owner_id, filters), "most": limit}
    best = await session.execute(statement(statements.BROWSE, number), asked)
    return [Found(row, row.score) for row in best]


async def spoken(
    session: AsyncSession,
    number: int,
    owner_id: uuid.UUID,
    speakers: str,
    within: Sequence[uuid.UUID] | None,
    limit: int,
) -> list[Found]:
    """What some people say, a question for their lexemes, of the newest files first."""
    template = statements.SPOKEN_BY_WORDS if within is None else statements.SPOKEN_BY_FILES
    asked: Parameters = {
        "owner": owner_id,
        "question": speakers,
        "ranked": max(RANKED, limit),
        "most": limit,
    }
    if within is not None:
        asked["files"] = list(within)
    best = await session.execute(statement(template, number), asked)
    return [Found(row, row.score) for row in best]


async def files(
    session: AsyncSession, number: int, *, after: uuid.UUID | None, most: int
) -> dict[uuid.UUID, int]:
    """The next files in the order of their ids, and how many passages each has."""
    page = await session.execute(
        statement(statements.COUNTED_FILES, number), {"after": after, "most": most}
    )
    return {file_id: int(count) for file_id, count in page}


async def count(session: AsyncSession, number: int, *, owner_id: uuid.UUID | None) -> int:
    """How many passages there are, of one owner or of all."""
    found: int | None = await session.scalar(
        statement(statements.COUNT, number), {"owner": owner_id}
    )
    return found or 0


async def owned(
    session: AsyncSession, number: int, *, media_file_ids: Collection[uuid.UUID]
) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """The owners of files, each with the file."""
    asked = {"files": list(media_file_ids)}
    page = await session.execute(statement(statements.OWNED, number), asked)
    return [(owner_id, media_file_id) for owner_id, media_file_id in page]
