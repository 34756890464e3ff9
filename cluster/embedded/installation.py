"""An installation seen by the other commands of its machine: addresses, processes, environment."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from cluster.connection import Dashboard
from cluster.embedded.processes import Mark, end_leftovers
from cluster.embedded.state import instance_id, load_records, make_private, write_private

RECORDS = "children.json"
ADDRESSES = "addresses.json"
ENVIRONMENT = "environment.json"
SETTINGS = "settings.json"
SERVE = "serve.json"

STOP_ORDER = {"ray": signal.SIGTERM, "objects": signal.SIGTERM, "postgres": signal.SIGINT}
"""The parts in the order in which they stop, and what asks them to."""
STOP_SECONDS = 30.0


class Installation:
    """What is kept in a data directory besides the data."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.instance = instance_id(data_dir)

    @property
    def logs(self) -> Path:
        """Where each part writes its log."""
        return self.data_dir / "logs"

    @property
    def records(self) -> Path:
        """Children by part, for `state.load_records`."""
        return self.data_dir / RECORDS

    def addresses(self) -> dict[str, str]:
        """Where the running parts are reached: `api`, `ray` (dashboard), `objects`, `postgres`."""
        return self._read(ADDRESSES)

    def environment(self) -> dict[str, str]:
        """What a command of this machine needs to reach the parts; empty where none ever ran."""
        return self._read(ENVIRONMENT)

    def dashboard(self) -> Dashboard | None:
        """Ray's dashboard, while the installation runs."""
        address = self.addresses().get("ray")
        return Dashboard(address, ray_token(self.environment())) if address else None

    def keep(self, environment: dict[str, str], addresses: dict[str, str]) -> None:
        """Remember both (0600): the environment holds secrets."""
        make_private(self.data_dir)
        write_private(self.data_dir / ENVIRONMENT, json.dumps(environment, indent=1))
        write_private(self.data_dir / ADDRESSES, json.dumps(addresses, indent=1))

    def keep_settings(self, settings: dict[str, str]) -> None:
        """Remember the variables by which it was started, for `rayscribe update` (0600)."""
        write_private(self.data_dir / SETTINGS, json.dumps(settings, indent=1))

    def settings(self) -> dict[str, str]:
        """The variables by which the running installation was started."""
        return self._read(SETTINGS)

    def keep_serve(self, config: dict[str, Any]) -> None:
        """Remember what Serve was told: it is told the same again after Ray's head has died."""
        write_private(self.data_dir / SERVE, json.dumps(config, indent=1))

    def serve(self) -> dict[str, Any]:
        """What Serve was told last; empty: nothing yet, in this run."""
        told: dict[str, Any] = self._read(SERVE)
        return told

    def forget_run(self) -> None:
        """Nothing of it runs any more."""
        for name in (ADDRESSES, RECORDS, SETTINGS, SERVE):
            (self.data_dir / name).unlink(missing_ok=True)

    def end_leftovers(self) -> int:
        """End what a supervisor that was killed left behind; return how many processes."""
        records = load_records(self.records)
        return sum(
            end_leftovers(Mark(self.instance, part), request, STOP_SECONDS, records.get(part))
            for part, request in STOP_ORDER.items()
        )

    def _read(self, name: str) -> dict[str, str]:
        path = self.data_dir / name
        told: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return told


def ray_token(environment: dict[str, str]) -> str | None:
    """Ray's cluster token, from where Ray itself looks for it."""
    told = {**os.environ, **environment}
    if "RAY_AUTH_TOKEN_PATH" in told:
        return Path(told["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
    return told.get("RAY_AUTH_TOKEN")
