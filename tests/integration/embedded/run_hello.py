"""Supervises an installation that serves tests.fixtures.hello_serve: `python -m … DATA_DIR`."""

import sys
from pathlib import Path

from cluster import logs
from cluster.embedded.errors import Stopped
from cluster.embedded.state import claim, locked
from cluster.embedded.supervisor import Supervisor
from cluster.serve_config import Application
from cluster.settings import Settings

HELLO = Application("hello", "tests.fixtures.hello_serve:build", "/")


def main(data_dir: Path) -> None:
    """Start it all, print `ready`, supervise until told to stop."""
    settings = Settings()
    with locked(data_dir):
        logs.configure(settings.logs, "supervisor")
        supervisor = Supervisor(settings, data_dir, [HELLO], proxy_middlewares=None)
        supervisor.take_charge()
        try:
            print(supervisor.check(), flush=True)  # noqa: T201
            supervisor.start_postgres()
            supervisor.start_objects()
            supervisor.start_ray()
            supervisor.deploy()
            supervisor.await_ready()
            print("ready", flush=True)  # noqa: T201
            supervisor.supervise()
        except Stopped:
            print("stopping", flush=True)  # noqa: T201
        finally:
            supervisor.stop()


if __name__ == "__main__":
    main(claim(Path(sys.argv[1])))
