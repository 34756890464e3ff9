"""A part that dies is started again; one that keeps dying is given up, with a line that says so."""

import signal
from pathlib import Path

import pytest

from cluster.embedded import supervisor as module
from cluster.embedded.errors import EmbeddedError
from cluster.embedded.processes import Child, Mark
from cluster.embedded.state import claim
from cluster.embedded.supervisor import Supervisor
from cluster.settings import Settings


class Server:
    """A part that is a shell command."""

    part = "objects"

    def __init__(self, directory: Path, *commands: str) -> None:
        self.mark = Mark("0123456789ab", self.part)
        self.log = directory / "objects.log"
        self.child: Child | None = None
        self.starts = 0
        self._commands = commands

    def start(self) -> None:
        command = self._commands[min(self.starts, len(self._commands) - 1)]
        self.starts += 1
        self.child = Child.start(self.mark, ["/bin/sh", "-c", command], {}, self.log, Path("/"))
        if command.startswith("refuse"):
            raise EmbeddedError("objects stopped while starting")

    def stop(self) -> None:
        if self.child:
            self.child.end(signal.SIGKILL, 1)
            self.child = None


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    monkeypatch.setattr(module, "FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.05)
    return Supervisor(Settings(), claim(tmp_path / "data"))


@pytest.mark.parametrize("command", ["exit 3", "refuse"])
def test_what_keeps_dying_is_given_up(supervisor: Supervisor, tmp_path: Path, command: str) -> None:
    server = Server(tmp_path, "exit 3", command)
    supervisor._run(server)
    with pytest.raises(EmbeddedError, match=r"objects keeps dying, giving up: see .*objects\.log"):
        supervisor.supervise()
    assert server.starts == 1 + module.MAX_QUICK_DEATHS


def test_what_died_once_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    server = Server(tmp_path, "exit 3", "sleep 600")
    supervisor._run(server)
    assert server.child
    server.child.process.wait()
    supervisor._watch([server])
    assert server.starts == 2
    assert server.child.alive()
    assert supervisor.installation.records.exists()
    server.stop()
