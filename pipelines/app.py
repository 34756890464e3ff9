"""Builds the `pipelines` application: the runner over the speech deployments."""

from typing import Any

from ray import serve
from ray.serve import Application

from cluster.connection import cluster_gpus
from cluster.resources import Role, deployment_options
from cluster.settings import Settings
from pipelines.deployment import Runner
from pipelines.stages.base import Models
from serving.app import speech_deployments
from serving.arguments import speech_arguments


def build(_arguments: dict[str, Any]) -> Application:
    """The application; settings are read from the environment of the node that builds it."""
    settings = Settings()
    gpus = cluster_gpus()
    arguments = speech_arguments(settings, gpus)
    models = Models(
        whisper=arguments.whisper_model,
        diarization=arguments.diarization_model,
        alignment=arguments.alignment_model,
        beam_size=arguments.beam_size,
        embedding=arguments.embedding_model,
    )
    runner = serve.deployment(
        name="Runner", user_config={}, **deployment_options(Role.runner, settings, gpus)
    )(Runner)
    return runner.bind(models, speech_deployments(settings, arguments, gpus))
