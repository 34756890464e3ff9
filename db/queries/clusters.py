"""Clusters of voices without a name, and who is in them."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    UUID,
    ColumnElement,
    ScalarSelect,
    and_,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlalchemy.orm.interfaces import ORMOption

from db.errors import NotFound
from db.models import MediaFile, Speaker, SpeakerCluster
from db.queries.among import one_of


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Clusters that are this user's."""
    return SpeakerCluster.user_id == user_id


def members(user_id: uuid.UUID, cluster_id: uuid.UUID) -> ColumnElement[bool]:
    """Voices that are in this cluster of this user."""
    return and_(Speaker.user_id == user_id, Speaker.cluster_id == cluster_id)


def without_voiceprint() -> ORMOption:
    """For readings that need all of a speaker but the vector."""
    return defer(Speaker.embedding, raiseload=True)


async def get(session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID) -> SpeakerCluster:
    """One cluster.

    Raises:
        NotFound: there is none that this user may see.
    """
    cluster: SpeakerCluster | None = await session.scalar(
        select(SpeakerCluster)
        .where(SpeakerCluster.id == cluster_id, readable_by(user_id))
        .execution_options(populate_existing=True)
    )
    if cluster is None:
        raise NotFound("cluster", str(cluster_id))
    return cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFilters:
    """Which clusters a list shows; what is left out narrows nothing."""

    search: str | None = None
    """A part of the label, in any letter case."""
    labelled: bool | None = None
    min_members: int = 1


def _conditions(filters: ClusterFilters) -> Iterator[ColumnElement[bool]]:
    if filters.search:
        yield SpeakerCluster.label.icontains(filters.search, autoescape=True)
    if filters.labelled is not None:
        labelled = SpeakerCluster.label.is_not(None)
        yield labelled if filters.labelled else ~labelled


def _member_count() -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(Speaker)
        .where(Speaker.cluster_id == SpeakerCluster.id)
        .correlate(SpeakerCluster)
        .scalar_subquery()
    )


async def page(
    session: AsyncSession, user_id: uuid.UUID, filters: ClusterFilters, *, limit: int, offset: int
) -> tuple[Sequence[SpeakerCluster], int]:
    """One page of a user's clusters, the largest first, and how many there are in all."""
    sized = (
        select(SpeakerCluster.id, _member_count().label("members"))
        .where(readable_by(user_id), *_conditions(filters))
        .subquery()
    )
    enough = sized.c.members >= filters.min_members
    # Counted on the way: to size thousands of clusters a second time takes as long again.
    found = await session.execute(
        select(SpeakerCluster, func.count().over())
        .join(sized, sized.c.id == SpeakerCluster.id)
        .where(enough)
        .order_by(sized.c.members.desc(), SpeakerCluster.created_at, SpeakerCluster.id)
        .limit(limit)
        .offset(offset)
    )
    rows = found.all()
    if rows or not offset:
        return [row for row, _ in rows], rows[0][1] if rows else 0
    total = await session.scalar(select(func.count()).select_from(sized).where(enough))
    return [], total or 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the members of a cluster are together."""

    members: int = 0
    files: int = 0
    speech_seconds: float = 0.0
    mean_similarity: float | None = None
    """Of the cosines to the cluster's mean; None: nobody has one."""
    min_similarity: float | None = None


async def figures(
    session: AsyncSession, user_id: uuid.UUID, cluster_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Figures]:
    """By cluster; one without members is missing."""
    rows = await session.execute(
        select(
            Speaker.cluster_id,
            func.count(),
            func.count(Speaker.media_file_id.distinct()),
            func.sum(Speaker.speech_seconds),
            func.avg(Speaker.cluster_similarity),
            func.min(Speaker.cluster_similarity),
        )
        .where(Speaker.cluster_id == one_of(cluster_ids), Speaker.user_id == user_id)
        .group_by(Speaker.cluster_id)
    )
    return {cluster_id: Figures(*found) for cluster_id, *found in rows}


TYPICAL = (Speaker.cluster_similarity.desc().nulls_last(), Speaker.clean_seconds.desc(), Speaker.id)
"""Order of members: the most typical first."""


async def representatives(
    session: AsyncSession, user_id: uuid.UUID, cluster_ids: Collection[uuid.UUID], most: int
) -> Mapping[uuid.UUID, Sequence[Speaker]]:
    """By cluster, its most typical members, at most so many, without their voiceprints."""
    place = func.row_number().over(partition_by=Speaker.cluster_id, order_by=TYPICAL)
    ranked = (
        select(Speaker.id, place.label("place"))
        .where(Speaker.cluster_id == one_of(cluster_ids), Speaker.user_id == user_id)
        .subquery()
    )
    rows = await session.scalars(
        select(Speaker)
        .join(ranked, ranked.c.id == Speaker.id)
        .where(ranked.c.place <= most)
        .order_by(ranked.c.place)
        .options(without_voiceprint())
        .execution_options(populate_existing=True)
    )
    found: dict[uuid.UUID, list[Speaker]] = {}
    for speaker in rows:
        if speaker.cluster_id is not None:
            found.setdefault(speaker.cluster_id, []).append(speaker)
    return found


Member = tuple[Speaker, str]
"""A voice, and the name of its file."""


async def member_page(
    session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Member], int]:
    """One page of a cluster's members, the most typical first, and how many there are in all."""
    within = members(user_id, cluster_id)
    rows = await session.execute(
        select(Speaker, func.coalesce(MediaFile.title, MediaFile.filename))
        .join(MediaFile, MediaFile.id == Speaker.media_file_id)
        .where(within)
        .order_by(*TYPICAL)
        .limit(limit)
        .offset(offset)
        .options(without_voiceprint())
        .execution_options(populate_existing=True)
    )
    total = await session.scalar(select(func.count()).select_from(Speaker).where(within))
    return rows.all(), total or 0


async def named_members(
    session: AsyncSession,
    user_id: uuid.UUID,
    cluster_id: uuid.UUID,
    speaker_ids: Collection[uuid.UUID],
) -> Sequence[Member]:
    """These members of a cluster, by id; who is none is missing."""
    rows = await session.execute(
        select(Speaker, func.coalesce(MediaFile.title, MediaFile.filename))
        .join(MediaFile, MediaFile.id == Speaker.media_file_id)
        .where(members(user_id, cluster_id), Speaker.id == one_of(speaker_ids))
        .options(without_voiceprint())
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def member_ids(
    session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID, limit: int
) -> Sequence[uuid.UUID]:
    """Of a cluster's members, the most typical first."""
    rows = await session.scalars(
        select(Speaker.id).where(members(user_id, cluster_id)).order_by(*TYPICAL).limit(limit)
    )
    return rows.all()


async def renew(
    session: AsyncSession,
    user_id: uuid.UUID,
    model: str,
    made: Collection[uuid.UUID],
    going_on: Collection[uuid.UUID],
) -> None:
    """Make clusters with these ids, and say of others that they are of this model now."""
    if made:
        rows = [{"id": key, "user_id": user_id, "embedding_model": model} for key in made]
        await session.execute(insert(SpeakerCluster), rows)
    if going_on:
        ids = literal(list(going_on), ARRAY(UUID))
        await session.execute(
            update(SpeakerCluster)
            .where(
                readable_by(user_id),
                SpeakerCluster.id == func.any(ids),
                SpeakerCluster.embedding_model != model,
            )
            .values(embedding_model=model)
            .execution_options(synchronize_session=False)
        )


async def of_other_models(
    session: AsyncSession, user_id: uuid.UUID, model: str
) -> Sequence[SpeakerCluster]:
    """Clusters that a person keeps and whose voices were embedded with another model then."""
    rows = await session.scalars(
        select(SpeakerCluster)
        .where(readable_by(user_id), SpeakerCluster.kept, SpeakerCluster.embedding_model != model)
        .order_by(SpeakerCluster.id)
    )
    return rows.all()


async def remove_empty(session: AsyncSession, user_id: uuid.UUID) -> int:
    """Delete the clusters of a user in which nobody is, and say how many."""
    member = exists().where(Speaker.cluster_id == SpeakerCluster.id).correlate(SpeakerCluster)
    removed = await session.execute(
        delete(SpeakerCluster)
        .where(readable_by(user_id), ~member)
        .returning(SpeakerCluster.id)
        .execution_options(synchronize_session=False)
    )
    return len(removed.all())


async def remove(session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID) -> None:
    """Delete a cluster that has no members any more."""
    await session.execute(
        delete(SpeakerCluster).where(SpeakerCluster.id == cluster_id, readable_by(user_id))
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """A user's voices, by where they are."""

    voices: int
    named: int
    unnamed: int
    compared: int
    """Unnamed voices whose voiceprint is trusted enough to be grouped."""
    clustered: int


async def counts(session: AsyncSession, user_id: uuid.UUID, min_clean_seconds: float) -> Counts:
    """Count all voices of a user."""
    unnamed = Speaker.display_name.is_(None)
    trusted = and_(Speaker.embedding_model.is_not(None), Speaker.clean_seconds >= min_clean_seconds)
    row = await session.execute(
        select(
            func.count(),
            func.count().filter(~unnamed),
            func.count().filter(unnamed),
            func.count().filter(unnamed, trusted),
            func.count().filter(Speaker.cluster_id.is_not(None)),
        ).where(Speaker.user_id == user_id)
    )
    return Counts(*row.one())


async def count(session: AsyncSession, user_id: uuid.UUID, *, kept: bool | None = None) -> int:
    """How many clusters with members a user has; `kept`: of those that a person keeps, or not."""
    member = exists().where(Speaker.cluster_id == SpeakerCluster.id).correlate(SpeakerCluster)
    query = select(func.count()).select_from(SpeakerCluster).where(readable_by(user_id), member)
    if kept is not None:
        query = query.where(SpeakerCluster.kept == kept)
    return await session.scalar(query) or 0
