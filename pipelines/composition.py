"""What a process that works on tasks is made of: from settings, for runners and bulk actors."""

from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.egress import Policy
from cluster.encryption import Encryption
from cluster.settings import Settings
from cluster.telemetry.meters import Meters
from db.engine import create_engine, create_sessions
from db.keywords.create import create_keyword_store
from db.objects.s3 import S3Objects
from db.vectors.create import create_vector_store
from pipelines.capacity import CountReplicas
from pipelines.downloads.work import DownloadParts
from pipelines.job import RunnerParts
from pipelines.language.parts import LanguageParts
from pipelines.local_model import ServedLanguageModel
from pipelines.stages.base import Models
from serving.arguments import SpeechArguments
from serving.ports import Ports


def models_of(arguments: SpeechArguments) -> Models:
    """Names of the models that answer, as fingerprints have them."""
    return Models(
        whisper=arguments.whisper_model,
        diarization=arguments.diarization_model,
        alignment=arguments.alignment_model,
        beam_size=arguments.beam_size,
        embedding=arguments.embedding_model,
        segmentation_step_seconds=arguments.segmentation_step_seconds,
    )


def compose(
    settings: Settings,
    ports: Ports,
    models: Models,
    batch_size: int,
    count_replicas: CountReplicas,
    meters: Meters,
) -> tuple[AsyncEngine, RunnerParts]:
    """The engine, to be disposed of at the end, and all that works over it."""
    if settings.database.url is None:
        raise ValueError("DATABASE_URL is not set")
    engine = create_engine(settings.database)
    sessions = create_sessions(engine)
    return engine, RunnerParts(
        sessions=sessions,
        vectors=create_vector_store(settings.search, sessions),
        keywords=create_keyword_store(settings.search, sessions),
        objects=S3Objects(settings.objects),
        ports=ports,
        models=models,
        settings=settings.runner,
        speech=settings.speech,
        voices=settings.voices,
        database_url=settings.database.url.get_secret_value(),
        block_seconds=settings.media.block_seconds,
        max_audio_seconds=settings.media.max_audio_seconds,
        maintenance=settings.maintenance,
        downloads=DownloadParts.of(settings, Policy(settings.egress)),
        language=LanguageParts(
            settings=settings.language,
            egress=settings.egress,
            encryption=Encryption(settings.auth),
            # A task waits until it has loaded, as for the first word of any other.
            local=ServedLanguageModel(settings.language, settings.language.first_token_seconds),
        ),
        search=settings.search,
        batch_size=batch_size,
        count_replicas=count_replicas,
        meters=meters,
    )
