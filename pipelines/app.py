"""Builds the `pipelines` application: the runner over the speech deployments."""

from typing import Any

from ray import serve
from ray.serve import Application

from cluster.connection import cluster_gpus
from cluster.resources import Role, deployment_options
from cluster.settings import Settings
from pipelines.composition import models_of
from pipelines.deployment import Runner
from serving.app import speech_deployments
from serving.arguments import speech_arguments


def build(_arguments: dict[str, Any]) -> Application:
    """The application; settings are read from the environment of the node that builds it."""
    settings = Settings()
    gpus = cluster_gpus(settings.ray)
    arguments = speech_arguments(settings, gpus)
    runner = serve.deployment(
        name="Runner", user_config={}, **deployment_options(Role.runner, settings, gpus)
    )(Runner)
    deployments = speech_deployments(settings, arguments, gpus)
    return runner.bind(models_of(arguments), arguments.batch_size, deployments)
