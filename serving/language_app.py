"""Builds the `language` application: the language model inside the cluster, without a route."""

from typing import Any

from ray import serve
from ray.serve import Application

from cluster.connection import cluster_gpus
from cluster.resources import Role, deployment_options
from cluster.settings import Settings
from serving.deployments.language_model import LanguageModel
from serving.language_arguments import FAKE, defaults, language_arguments, runtime_env

HEADROOM = 16
"""Requests beyond those that the engine works on: they wait in it, and health is still asked."""


def build(_arguments: dict[str, Any]) -> Application:
    """The application; settings are read from the environment of the node that builds it."""
    settings = Settings()
    gpus = cluster_gpus(settings.ray)
    arguments = language_arguments(settings, gpus)
    chosen = defaults(settings.language, on_gpu=gpus > 0)
    options = deployment_options(Role.language_model, settings, gpus, chosen.max_sequences)
    if arguments["engine"] != FAKE:
        options["ray_actor_options"]["runtime_env"] = runtime_env(settings)
    deployment = serve.deployment(
        name="LanguageModel",
        max_ongoing_requests=chosen.max_sequences + HEADROOM,
        **options,
    )
    return deployment(LanguageModel).bind(arguments)
