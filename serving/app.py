"""Binds the speech deployments: which class plays which role, with how many replicas."""

from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig

from cluster.resources import Role, deployment_options
from cluster.settings import Settings
from serving.arguments import SpeechArguments
from serving.deployments.aligner import Aligner
from serving.deployments.preparer import DECODERS, Preparer
from serving.deployments.speaker_clusterer import SpeakerClusterer
from serving.deployments.speaker_embedder import SpeakerEmbedder
from serving.deployments.speaker_segmenter import SpeakerSegmenter
from serving.deployments.text_embedder import TextEmbedder
from serving.deployments.transcriber import Transcriber

ROUTER: dict[str, Any] = {"request_router_class": "serving.routing.LeastBusy"}
HEADROOM = 16
"""Requests that are always let in, so that a busy replica still says that it is well."""

SHELLS = (
    Preparer,
    Transcriber,
    Aligner,
    SpeakerSegmenter,
    SpeakerEmbedder,
    SpeakerClusterer,
    TextEmbedder,
)


def speech_deployments(
    settings: Settings, arguments: SpeechArguments, gpus: float
) -> dict[str, Application]:
    """Each role's deployment, bound to its arguments."""
    # Whatever the runners may send at once, and room for health checks and probes.
    runner = settings.runner
    ongoing = HEADROOM + max(
        arguments.max_ongoing_requests, runner.max_outstanding_windows * runner.replicas
    )
    return {
        shell.role: serve.deployment(
            name=shell.__name__,
            max_ongoing_requests=ongoing,
            request_router_config=RequestRouterConfig(**ROUTER),
            **deployment_options(
                Role(shell.role),
                settings,
                gpus,
                DECODERS if shell is Preparer else arguments.batch_size,
            ),
        )(shell).bind(arguments)
        for shell in SHELLS
    }
