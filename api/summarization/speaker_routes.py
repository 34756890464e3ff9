"""Routes of speakers' names by what is said: /api/summarization/{file_id}/….

What is predicted is suggested at `/api/speakers`, beside what voices sound like.
"""

import uuid
from collections.abc import Sequence

from fastapi import APIRouter

from api import language_work
from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.idempotency import IDEMPOTENT, Once
from api.openapi import owned_errors
from api.schemas import TaskOut
from api.summarization import standing
from api.summarization.speaker_schemas import (
    PredictedSpeaker,
    PredictionOut,
    SpeakerPredictions,
)
from db.engine import session_scope
from db.models import Speaker, SpeakerPrediction
from db.queries import media_files, reading, speaker_predictions

router = APIRouter(prefix="/api/summarization", tags=["summarization"], route_class=EnvelopeRoute)


@router.post(
    "/{file_id}/identify-speakers",
    status_code=202,
    summary="Find out by what is said who speaks",
    response_description="Speaker identification queued",
    responses=owned_errors(*language_work.REFUSALS, *IDEMPOTENT),
)
async def identify_speakers(
    services: App, user: CurrentUser, once: Once, file_id: uuid.UUID
) -> TaskOut:
    """A task in which your language model looks for the names of speakers that have none.

    What it finds are suggestions: nobody gets a name by it. They take the place of earlier ones.
    """
    async with once.guarded({}) as keep, session_scope(services.sessions) as session:
        task = await language_work.identify_speakers(services, session, user.id, file_id)
        return await keep(session, TaskOut.model_validate(task))


@router.get(
    "/{file_id}/speaker-predictions",
    summary="Who speaks, by what is said",
    response_description="Predictions",
    responses=owned_errors(),
)
async def list_predictions(
    session: Session, user: CurrentUser, file_id: uuid.UUID
) -> SpeakerPredictions:
    """What your language model takes a file's speakers for, with what was said that shows it."""
    file = await reading.file(session, user, file_id)
    rows = await speaker_predictions.of_file(session, file.user_id, file_id)
    now = await standing.transcript_version(session, file)
    return SpeakerPredictions(file_id=file.id, speakers=_by_speaker(rows, now))


def _by_speaker(
    rows: Sequence[tuple[Speaker, SpeakerPrediction]], transcript_version: int | None
) -> list[PredictedSpeaker]:
    found: dict[uuid.UUID, tuple[Speaker, list[PredictionOut]]] = {}
    for speaker, row in rows:
        _, predictions = found.setdefault(speaker.id, (speaker, []))
        predictions.append(PredictionOut.of(row, transcript_version))
    return [
        PredictedSpeaker(
            speaker_id=speaker.id,
            label=speaker.label,
            display_name=speaker.display_name,
            verified=speaker.verified,
            predictions=predictions,
        )
        for speaker, predictions in found.values()
    ]


@router.delete(
    "/{file_id}/speaker-predictions/{prediction_id}",
    status_code=204,
    summary="Dismiss a prediction",
    responses=owned_errors(),
)
async def dismiss_prediction(
    session: Session, user: CurrentUser, file_id: uuid.UUID, prediction_id: uuid.UUID
) -> None:
    """It is not suggested any more, unless the language model is asked again.

    For somebody who has a profile, `POST /api/speakers/{id}/verify` with `reject` is for good.
    """
    file = await media_files.get(session, user.id, file_id)
    await speaker_predictions.remove(session, user.id, file.id, prediction_id)
