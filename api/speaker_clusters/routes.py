"""Routes that read clusters and make them anew: /api/speaker-clusters."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.idempotency import IDEMPOTENT, Once
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.schemas import TaskOut
from api.speaker_clusters import answers
from api.speaker_clusters.schemas import (
    ClusterDetail,
    ClusterOut,
    ClusterStats,
    MemberOut,
    OutlierOut,
)
from api.text import one_line
from api.waiting import task_answer
from db.engine import session_scope
from db.models import TaskKind
from db.queries import clusters, tasks
from db.queries.clusters import ClusterFilters
from db.queries.tasks import TaskFilters
from pipelines.speakers import cluster_edits, grouping

router = APIRouter(
    prefix="/api/speaker-clusters", tags=["speaker clusters"], route_class=EnvelopeRoute
)


def _filters(
    search: Annotated[
        str | None,
        Query(max_length=255, description="A part of the label, in any letter case"),
        one_line,
    ] = None,
    labelled: Annotated[
        bool | None, Query(description="Only clusters with a label, or only those without")
    ] = None,
    min_members: Annotated[
        int, Query(ge=1, le=1_000_000, description="Only clusters of so many voices or more")
    ] = 1,
) -> ClusterFilters:
    return ClusterFilters(search=search, labelled=labelled, min_members=min_members)


@router.get(
    "",
    summary="List clusters",
    response_description="Clusters",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_clusters(
    services: App,
    session: Session,
    user: CurrentUser,
    filters: Annotated[ClusterFilters, Depends(_filters)],
    paging: Paging,
) -> Page[ClusterOut]:
    """Your clusters, the largest first, each with who it may be."""
    rows, total = await clusters.page(
        session, user.id, filters, limit=paging.page_size, offset=paging.offset
    )
    listed = await answers.cluster_answers(session, user.id, rows, services.voices)
    return paging.of(listed, total)


@router.get(
    "/stats",
    summary="Count voices and clusters",
    response_description="Counts",
    responses=SIGNED_IN,
)
async def stats(services: App, session: Session, user: CurrentUser) -> ClusterStats:
    """How many of your voices have a name, how many are in clusters, and the latest clustering."""
    kinds = TaskFilters(kinds=[TaskKind.clustering])
    latest, _ = await tasks.page(session, user.id, kinds, limit=1, offset=0)
    return ClusterStats.of(
        await clusters.count(session, user.id),
        await clusters.count(session, user.id, kept=True),
        await clusters.counts(session, user.id, services.voices.min_clean_seconds),
        await task_answer(session, latest[0]) if latest else None,
    )


@router.post(
    "/recluster",
    status_code=202,
    summary="Group voices without a name",
    response_description="Clustering queued",
    responses=errors(*SIGNED_IN_TYPES, *IDEMPOTENT, ErrorType.conflict),
)
async def recluster(services: App, user: CurrentUser, once: Once) -> TaskOut:
    """Queue the clustering of all your voices that nobody has named: one at a time.

    Voices of one recording are never put together, nor such as you said are not the same.
    Clusters that you keep stay as they are; the others are found anew, and one that goes on with
    most of its members keeps its id and label. The task's `result` counts what came of it.
    """
    async with once.guarded({}) as keep, session_scope(services.sessions) as session:
        task = await grouping.submit(session, user.id)
        return await keep(session, TaskOut.model_validate(task))


@router.get(
    "/{cluster_id}",
    summary="One cluster",
    response_description="Cluster",
    responses=owned_errors(),
)
async def get_cluster(
    services: App, session: Session, user: CurrentUser, cluster_id: uuid.UUID
) -> ClusterDetail:
    """What it is, who it may be, and its most typical members."""
    row = await clusters.get(session, user.id, cluster_id)
    return await answers.detail(session, user.id, row, services.voices)


@router.get(
    "/{cluster_id}/members",
    summary="List a cluster's members",
    response_description="Members",
    responses=owned_errors(),
)
async def list_members(
    session: Session, user: CurrentUser, cluster_id: uuid.UUID, paging: Paging
) -> Page[MemberOut]:
    """Its voices, the most typical first."""
    await clusters.get(session, user.id, cluster_id)
    rows, total = await clusters.member_page(
        session, user.id, cluster_id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([MemberOut.of(*row) for row in rows], total)


@router.get(
    "/{cluster_id}/outliers",
    summary="Find who does not belong into a cluster",
    response_description="Members that may be somebody else",
    responses=owned_errors(),
)
async def list_outliers(
    services: App, session: Session, user: CurrentUser, cluster_id: uuid.UUID, paging: Paging
) -> Page[OutlierOut]:
    """Members that are little like the mean of the others, worst first, each with the reason.

    A voice is odd where its cosine to the others is below what joins voices, or, in a cluster of
    five or more, more than three median absolute deviations (and 0.05) below the others' median.
    """
    row = await clusters.get(session, user.id, cluster_id)
    odd = await cluster_edits.odd_members(session, row, services.voices)
    shown = odd[paging.offset : paging.offset + paging.page_size]
    found = await clusters.named_members(
        session, user.id, cluster_id, [one.speaker_id for one in shown]
    )
    by_id = {speaker.id: (speaker, filename) for speaker, filename in found}
    listed = [
        answers.outlier(*by_id[one.speaker_id], one, services.voices)
        for one in shown
        if one.speaker_id in by_id
    ]
    return paging.of(listed, len(odd))
