"""What a backfill would be: which models are in use is asked of the replicas."""

from dataclasses import asdict

from api.backfills.schemas import HOUR, PlanOut
from api.dependencies import Services
from api.errors import ApiError, ErrorType
from db.models import BackfillStage
from db.queries.backfill_files import InUse
from pipelines.backfills.in_use import MATTERS, in_use
from pipelines.backfills.manifests import ManifestInvalid
from pipelines.backfills.orders import Order
from pipelines.backfills.planning import Planning
from pipelines.backfills.sources import SourceRefused
from pipelines.stages.base import Models
from serving.errors import SpeechUnavailable


async def planned(services: Services, order: Order) -> PlanOut:
    """The plan.

    Raises:
        ApiError: it cannot be known what is meant.
        SpeechUnavailable: nobody says which models are in use.
    """
    planning = Planning(services.sessions, services.buckets, services.backfill, services.prices)
    try:
        found = await planning.plan(order, await _in_use(services, order.stage))
    except (ManifestInvalid, SourceRefused) as error:
        raise ApiError(ErrorType.validation_error, str(error)) from error
    facts = asdict(found)
    return PlanOut(
        audio_hours=facts.pop("audio_seconds") / HOUR,
        rtfx=facts.pop("speed"),
        currency=services.prices.currency,
        **facts,
    )


def require_readable(services: Services, order: Order) -> None:
    """Raise `validation_error` where recordings, or the list of them, may not be read."""
    for location in (order.selection.prefix, order.selection.manifest):
        if location is None:
            continue
        try:
            services.buckets.place(location)
        except SourceRefused as error:
            raise ApiError(ErrorType.validation_error, str(error)) from error


async def _in_use(services: Services, stage: BackfillStage) -> InUse:
    """Asked for what matters to the stage only: the others' replicas may be away."""
    answers = await services.health() if MATTERS[stage] else {}

    def said(name: str, role: str, fact: str = "model") -> str:
        found = answers.get(role, {}).get("stats", {}).get(fact, "")
        if not found and name in MATTERS[stage]:
            raise SpeechUnavailable(
                f"{role} does not answer, so that it is not known which model is in use."
            )
        return str(found)

    models = Models(
        whisper=said("whisper", "transcriber"),
        diarization=said("diarization", "speaker_segmenter"),
        alignment=said("alignment", "aligner"),
        beam_size=1,
        embedding=said("embedding", "speaker_embedder", "embedding_model"),
    )
    return await in_use(
        stage,
        models,
        services.keywords,
        services.vectors,
        services.text_embedder,
        services.search,
    )
