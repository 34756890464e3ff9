"""Routes by which a person changes clusters, and says whose voices they are."""

import uuid

from fastapi import APIRouter

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import owned_errors
from api.speaker_clusters import answers
from api.speaker_clusters.schemas import (
    ClusterChanges,
    ClusterOut,
    Promoted,
    PromoteRequest,
    SplitRequest,
    Unassigned,
    UnassignRequest,
)
from db.queries import clusters
from pipelines.speakers import cluster_edits

router = APIRouter(
    prefix="/api/speaker-clusters", tags=["speaker clusters"], route_class=EnvelopeRoute
)


@router.put(
    "/{cluster_id}",
    summary="Label or keep a cluster",
    response_description="Cluster changed",
    responses=owned_errors(),
)
async def change_cluster(
    services: App,
    session: Session,
    user: CurrentUser,
    cluster_id: uuid.UUID,
    wanted: ClusterChanges,
) -> ClusterOut:
    """A label is a note of yours; whose voices they are is said with `…/promote`."""
    await cluster_edits.change(session, user.id, cluster_id, label=wanted.label, kept=wanted.kept)
    row = await clusters.get(session, user.id, cluster_id)
    return await answers.cluster_answer(session, user.id, row, services.voices)


@router.delete(
    "/{cluster_id}", status_code=204, summary="Delete a cluster", responses=owned_errors()
)
async def delete_cluster(session: Session, user: CurrentUser, cluster_id: uuid.UUID) -> None:
    """Its voices are in no cluster then, until voices are clustered anew; nothing else changes."""
    await cluster_edits.dissolve(session, user.id, cluster_id)


@router.post(
    "/{cluster_id}/promote",
    summary="Say whose voices a cluster has",
    response_description="Voices named",
    responses=owned_errors(ErrorType.conflict),
)
async def promote_cluster(
    services: App,
    session: Session,
    user: CurrentUser,
    cluster_id: uuid.UUID,
    wanted: PromoteRequest,
) -> Promoted:
    """All members, or those named, are verified as this person in all their files.

    They leave the cluster, which goes with its last member. That some of them were not this
    person's, as you said before, is forgotten. `change_id` undoes it.
    """
    made = await cluster_edits.promote(
        session,
        user.id,
        cluster_id,
        name=wanted.name,
        profile_id=wanted.profile_id,
        speaker_ids=wanted.speaker_ids,
        settings=services.voices,
    )
    return Promoted(
        profile_id=made.profile.id,
        name=made.profile.name,
        speaker_ids=[speaker.id for speaker in made.speakers],
        change_id=made.change.id if made.change else None,
        remaining=made.remaining,
    )


@router.post(
    "/{source_cluster_id}/merge/{target_cluster_id}",
    summary="Merge two clusters",
    response_description="Clusters merged",
    responses=owned_errors(ErrorType.conflict),
)
async def merge_clusters(
    services: App,
    session: Session,
    user: CurrentUser,
    source_cluster_id: uuid.UUID,
    target_cluster_id: uuid.UUID,
) -> ClusterOut:
    """All voices of the first go into the second, which is kept; the first is gone.

    Where the second has no label it gets the first one's.
    """
    await cluster_edits.merge(session, user.id, source_cluster_id, target_cluster_id)
    row = await clusters.get(session, user.id, target_cluster_id)
    return await answers.cluster_answer(session, user.id, row, services.voices)


@router.post(
    "/{cluster_id}/split",
    status_code=201,
    summary="Split a cluster",
    response_description="New cluster made",
    responses=owned_errors(ErrorType.conflict),
)
async def split_cluster(
    services: App,
    session: Session,
    user: CurrentUser,
    cluster_id: uuid.UUID,
    wanted: SplitRequest,
) -> ClusterOut:
    """These members go into a new cluster; both are kept. The answer is the new one."""
    made = await cluster_edits.split(session, user.id, cluster_id, set(wanted.speaker_ids))
    row = await clusters.get(session, user.id, made.id)
    return await answers.cluster_answer(session, user.id, row, services.voices)


@router.post(
    "/{cluster_id}/unassign",
    summary="Take voices out of a cluster",
    response_description="Voices taken out",
    responses=owned_errors(),
)
async def unassign_speakers(
    services: App,
    session: Session,
    user: CurrentUser,
    cluster_id: uuid.UUID,
    wanted: UnassignRequest,
) -> Unassigned:
    """These members are in no cluster then.

    Unless you say otherwise, they never come into one with those that stay again: they are kept
    apart from the 100 most typical of these.
    """
    left = await cluster_edits.take_out(
        session, user.id, cluster_id, set(wanted.speaker_ids), cannot_link=wanted.cannot_link
    )
    if left is None:
        return Unassigned(cluster=None)
    row = await clusters.get(session, user.id, cluster_id)
    answer = await answers.cluster_answer(session, user.id, row, services.voices)
    return Unassigned(cluster=answer)
