"""Routes of voiceprints after a change of model or of the vector store: /api/admin/voiceprints."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from api.admin.voiceprint_schemas import (
    ModelClips,
    ReembeddingBegun,
    ResyncBegun,
    VoiceprintStatus,
)
from api.dependencies import App, CallerAddress, CurrentAdmin, Services
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.idempotency import IDEMPOTENT, Once
from api.openapi import ADMIN_TYPES, errors
from db.engine import session_scope
from db.models import TaskState
from db.queries import audit
from db.queries.audit import Action
from pipelines.speakers import backfill
from pipelines.speakers import resync as resyncing
from pipelines.speakers.backfill import Begun
from serving.errors import SpeechUnavailable

router = APIRouter(prefix="/api/admin/voiceprints", tags=["admin"], route_class=EnvelopeRoute)

BATCH = 20
"""Tasks that one transaction queues: their users' rows are locked until it ends."""
MOST_AT_ONCE = 500
"""Tasks that one request queues: ten seconds on two busy cores."""


async def _model_in_use(services: Services) -> str:
    """Identity of the embedder's model, as a replica says: settings may have changed since.

    Raises:
        SpeechUnavailable: none answers.
    """
    answer = (await services.health()).get("speaker_embedder", {})
    model = answer.get("stats", {}).get("embedding_model")
    if model is None:
        raise SpeechUnavailable(
            "The speaker embedder does not answer, so that it is not known which model is in use."
        )
    return str(model)


@router.get(
    "",
    summary="Which models' voiceprints there are",
    response_description="Voiceprints by model",
    responses=errors(*ADMIN_TYPES, ErrorType.speech_unavailable),
)
async def status(services: App, _: CurrentAdmin) -> VoiceprintStatus:
    """Voiceprints by model, how much is of another model than the one in use, and the tasks.

    Voices are compared with those of the same model only.
    """
    model = await _model_in_use(services)
    async with session_scope(services.sessions) as session:
        found = await backfill.overview(session, model)
    clips = [
        ModelClips(embedding_model=name, enrolments=count)
        for name, count in found.enrolments_by_model.items()
    ]
    return VoiceprintStatus.model_validate(
        {
            **asdict(found),
            "enrolments_by_model": clips,
            "tasks": {state: found.tasks.get(state, 0) for state in TaskState},
        }
    )


@router.post(
    "/reembed",
    status_code=202,
    summary="Embed voices of other models anew",
    response_description="Tasks queued",
    responses=errors(*ADMIN_TYPES, *IDEMPOTENT, ErrorType.speech_unavailable),
)
async def reembed(
    services: App,
    admin: CurrentAdmin,
    address: CallerAddress,
    once: Once,
    limit: Annotated[
        int, Query(ge=1, le=MOST_AT_ONCE, description="Most tasks that this request queues")
    ] = 200,
) -> ReembeddingBegun:
    """After a change of model: queue a task for each file and clip whose voiceprints are another's.

    The tasks wait in the bulk lane, and keep no new recording out. What has such a task that is not
    over is left out, so that asking again queues nothing twice; ask until `more` is false. What
    stopped half-way goes on the same way. A recording is decoded, and its voices are embedded from
    the turns that are known: nothing is transcribed, and names stay.
    """
    async with once.guarded({"limit": limit}) as keep:
        model = await _model_in_use(services)
        queued = Begun(files=0, enrolments=0, more=True)
        while queued.more and (left := limit - queued.total) > 0:
            async with session_scope(services.sessions) as session:
                queued += await backfill.begin(session, model, min(BATCH, left))
        answer = ReembeddingBegun(embedding_model=model, **asdict(queued))
        async with session_scope(services.sessions) as session:
            audit.add(
                session,
                Action.voiceprints_reembedded,
                actor_id=admin.id,
                address=address,
                details=answer.model_dump(mode="json"),
            )
            return await keep(session, answer)


@router.post(
    "/resync",
    status_code=202,
    summary="Tell the vector store everything anew",
    response_description="Noted",
    responses=errors(*ADMIN_TYPES),
)
async def resync(services: App, admin: CurrentAdmin, address: CallerAddress) -> ResyncBegun:
    """Make the vector store, matches and people's voiceprints equal to what PostgreSQL says.

    For a store that was lost, restored or replaced. Runners do it, one file after the other;
    meanwhile matches may be missing.
    """
    answer = ResyncBegun(notes=await resyncing.note_all(services.sessions))
    async with session_scope(services.sessions) as session:
        audit.add(
            session,
            Action.voiceprints_resynced,
            actor_id=admin.id,
            address=address,
            details=answer.model_dump(mode="json"),
        )
    return answer
