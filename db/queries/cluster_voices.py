"""Voices as clustering sees them: read by their voiceprints, moved between clusters, kept apart."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    REAL,
    UUID,
    ColumnElement,
    and_,
    column,
    delete,
    exists,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import CannotLink, Speaker, SpeakerCluster
from db.queries import speakers
from db.queries.clusters import members

MOVED_AT_A_TIME = 5000
"""Voices of one UPDATE: each copies a row with its voiceprint, and a statement has its limit."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voiceprint, and of which recording it is."""

    id: uuid.UUID
    media_file_id: uuid.UUID
    created_at: datetime
    embedding: list[float] | None
    """Of length 1."""


async def read(
    session: AsyncSession, condition: ColumnElement[bool], after: Voice | None, limit: int
) -> Sequence[Voice]:
    """The next voices that have a voiceprint, the oldest first."""
    query = select(Speaker.id, Speaker.media_file_id, Speaker.created_at, Speaker.embedding).where(
        condition, Speaker.embedding.is_not(None)
    )
    if after is not None:
        query = query.where(
            tuple_(Speaker.created_at, Speaker.id) > tuple_(after.created_at, after.id)
        )
    rows = await session.execute(query.order_by(Speaker.created_at, Speaker.id).limit(limit))
    return [Voice(*row) for row in rows]


def unnamed(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Voices of this user to which nobody gave a name."""
    return and_(Speaker.user_id == user_id, Speaker.display_name.is_(None))


def free(user_id: uuid.UUID, model: str) -> ColumnElement[bool]:
    """Unnamed voices of a model that clustering may put anywhere: no person keeps them together."""
    kept = exists().where(SpeakerCluster.id == Speaker.cluster_id, SpeakerCluster.kept)
    return and_(unnamed(user_id), Speaker.embedding_model == model, ~kept.correlate(Speaker))


async def latest_model(session: AsyncSession, user_id: uuid.UUID) -> str | None:
    """The model of the user's newest unnamed voiceprint; None: there is none."""
    model: str | None = await session.scalar(
        select(Speaker.embedding_model)
        .where(
            unnamed(user_id), Speaker.embedding.is_not(None), Speaker.embedding_model.is_not(None)
        )
        .order_by(Speaker.created_at.desc(), Speaker.id.desc())
        .limit(1)
    )
    return model


async def main_model(
    session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID
) -> str | None:
    """The model of most voiceprints in a cluster; None: nobody in it has one."""
    model: str | None = await session.scalar(
        select(Speaker.embedding_model)
        .where(members(user_id, cluster_id), Speaker.embedding.is_not(None))
        .group_by(Speaker.embedding_model)
        .order_by(func.count().desc(), Speaker.embedding_model)
        .limit(1)
    )
    return model


async def count(session: AsyncSession, condition: ColumnElement[bool]) -> int:
    """How many voices meet a condition."""
    return await session.scalar(select(func.count()).select_from(Speaker).where(condition)) or 0


async def hold_files(session: AsyncSession, condition: ColumnElement[bool]) -> None:
    """Keep the voices that meet a condition from being deleted until this transaction ends.

    Call it after `speakers.serialise` and before they are written: whoever deletes or replaces
    voices locks files, then transcripts, then these.
    """
    files = select(Speaker.media_file_id).where(condition)
    await speakers.lock_files(session, files, edited=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a voice is to be, or is."""

    cluster_id: uuid.UUID | None = None
    similarity: float | None = None
    """Cosine to the cluster's mean."""


NOWHERE = Place()


async def places(
    session: AsyncSession, condition: ColumnElement[bool]
) -> Mapping[uuid.UUID, Place]:
    """By speaker, where those are that meet a condition."""
    rows = await session.execute(
        select(Speaker.id, Speaker.cluster_id, Speaker.cluster_similarity).where(condition)
    )
    return {speaker_id: Place(cluster, cosine) for speaker_id, cluster, cosine in rows}


async def move(
    session: AsyncSession,
    user_id: uuid.UUID,
    wanted: Sequence[tuple[uuid.UUID, Place]],
    told: Callable[[int, int], None] | None = None,
) -> None:
    """Move voices whose files are held; `told` hears how many of how many are done."""
    for start in range(0, len(wanted), MOVED_AT_A_TIME):
        batch = wanted[start : start + MOVED_AT_A_TIME]
        await _move(session, user_id, batch)
        if told is not None:
            told(start + len(batch), len(wanted))


async def _move(
    session: AsyncSession, user_id: uuid.UUID, wanted: Sequence[tuple[uuid.UUID, Place]]
) -> None:
    arrays = func.unnest(
        literal([speaker_id for speaker_id, _ in wanted], ARRAY(UUID)),
        literal([place.cluster_id for _, place in wanted], ARRAY(UUID)),
        literal([place.similarity for _, place in wanted], ARRAY(REAL)),
    )
    columns = column("id", UUID), column("cluster_id", UUID), column("similarity", REAL)
    moved = arrays.table_valued(*columns, name="moved").render_derived()
    await session.execute(
        update(Speaker)
        .where(Speaker.id == moved.c.id, Speaker.user_id == user_id)
        .values(cluster_id=moved.c.cluster_id, cluster_similarity=moved.c.similarity)
        .execution_options(synchronize_session=False)
    )


async def move_all(
    session: AsyncSession, condition: ColumnElement[bool], cluster_id: uuid.UUID | None
) -> int:
    """Move all voices that meet a condition, and say how many: their files are held."""
    moved = await session.execute(
        update(Speaker)
        .where(condition)
        .values(cluster_id=cluster_id, cluster_similarity=None)
        .returning(Speaker.id)
        .execution_options(synchronize_session=False)
    )
    return len(moved.all())


async def kept_apart(
    session: AsyncSession, user_id: uuid.UUID
) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """Pairs of this user's voices of which a person said that they are not the same one's."""
    rows = await session.execute(
        select(CannotLink.first_id, CannotLink.second_id)
        .join(Speaker, Speaker.id == CannotLink.first_id)
        .where(Speaker.user_id == user_id)
        .order_by(CannotLink.first_id, CannotLink.second_id)
    )
    return rows.all()


async def keep_apart(
    session: AsyncSession, one: Collection[uuid.UUID], others: Collection[uuid.UUID]
) -> None:
    """Say of each of the ones that it is none of the others'."""
    these = func.unnest(literal(list(one), ARRAY(UUID))).column_valued("these")
    those = func.unnest(literal(list(others), ARRAY(UUID))).column_valued("those")
    pairs = select(func.least(these, those), func.greatest(these, those)).where(these != those)
    await session.execute(
        insert(CannotLink).from_select(["first_id", "second_id"], pairs).on_conflict_do_nothing()
    )


async def let_together(session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID) -> None:
    """Forget that voices were kept apart that a person put into one cluster."""
    within = select(Speaker.id).where(members(user_id, cluster_id))
    await session.execute(
        delete(CannotLink)
        .where(CannotLink.first_id.in_(within), CannotLink.second_id.in_(within))
        .execution_options(synchronize_session=False)
    )
