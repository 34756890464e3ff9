"""A Ray cluster that is there already: told what to run, and told again when its head was replaced.

Nothing of it is started or stopped here.
"""

import time
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import httpx

from cluster.connection import Dashboard
from cluster.embedded.errors import EmbeddedError
from cluster.settings import Profile, Settings

READY_SECONDS = 300.0
"""Its nodes may be starting at this moment."""
ASK_SECONDS = 5.0


class OutsideRay:
    """The cluster behind a dashboard's address."""

    def __init__(self, address: str, token: str | None) -> None:
        self.dashboard = Dashboard(address, token)
        self._asked_at = 0.0

    @property
    def host(self) -> str:
        """Its head, where Serve's proxy listens too."""
        return urlsplit(self.dashboard.address).hostname or ""

    def await_answer(self, progress: Callable[[str], None]) -> None:
        """Wait until Serve can be told something; raise EmbeddedError where it never can."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.dashboard.answers():
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.dashboard.address} does not answer as the dashboard of a Ray cluster: "
                    "see whether its head runs, and whether RAY_AUTH_TOKEN is the cluster's"
                )
            progress(f"waiting for {self.dashboard.address}")
            time.sleep(1.0)

    def forgot(self, applications: Collection[str]) -> bool:
        """Whether it answers and does not know these applications: a new head knows none.

        Asks now and then only; a cluster that does not answer is waited for.
        """
        if time.monotonic() < self._asked_at + ASK_SECONDS:
            return False
        self._asked_at = time.monotonic()
        try:
            known = {state.name for state in self.dashboard.applications()}
        except httpx.HTTPError:
            return False
        return not known.issuperset(applications)


def check_outside(settings: Settings) -> None:
    """Raise EmbeddedError where a cluster elsewhere could not do with what this machine has."""
    missing = {
        "DATABASE_URL": settings.database.url,
        "MINIO_ENDPOINT": settings.objects.endpoint,
        "SECRET_KEY": settings.auth.secret_key,
        "RAYSCRIBE_PORT": settings.api.port,
    }
    unset = [name for name, value in missing.items() if not value]
    if settings.speech.profile is Profile.auto:
        unset.append("RAYSCRIBE_PROFILE")
    if unset:
        raise EmbeddedError(
            f"RAYSCRIBE_RAY_ADDRESS needs {', '.join(unset)} as well, the same here and on its "
            "nodes: they see neither servers on this machine's loopback nor its files and devices"
        )
