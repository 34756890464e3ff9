"""How many replicas of each role answer now, as Serve tells it."""

import asyncio
from collections.abc import Mapping

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.schema import DeploymentStatusOverview

from serving.client import APPLICATION, DEPLOYMENTS
from serving.errors import SpeechUnavailable

RUNNING = "RUNNING"
"""The state of a replica that takes requests."""


async def count_replicas() -> Mapping[str, int]:
    """Replicas of each role that take requests; needs a connection to its Ray.

    Raises:
        SpeechUnavailable: Serve's controller does not answer.
    """
    try:
        return await asyncio.to_thread(_count)
    except (RayError, RayServeException) as error:
        raise SpeechUnavailable("Serve's controller did not answer.") from error


def _count() -> Mapping[str, int]:
    application = serve.status().applications.get(APPLICATION)
    if application is None:
        return {}
    return {
        role: _running(application.deployments[name])
        for role, name in DEPLOYMENTS.items()
        if name in application.deployments
    }


def _running(deployment: DeploymentStatusOverview) -> int:
    states = deployment.replica_states.items()
    return sum(count for state, count in states if state == RUNNING)
