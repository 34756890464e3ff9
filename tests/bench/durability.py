"""How long a cancel takes, and how long a newcomer waits behind somebody's five hundred files.

`python -m tests.bench durability`: a whole service with fake models that take a second a window.
"""

import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from rayscribe.api_client import ApiClient
from rayscribe.bootstrap import Credential
from tests.bench.tables import table
from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

CANCELS, FILES, NEWCOMERS = 50, 500, 5
PASSWORD = "correct horse battery staple"
ENVIRONMENT = {"RAYSCRIBE_FAKE_SECONDS": "1", "BATCH_SIZE": "1"}
SEED = 50


class Guest:
    """Somebody new, signed in."""

    def __init__(self, stack: Stack) -> None:
        email = f"{uuid.uuid4().hex}@example.org"
        body = {"email": email, "password": PASSWORD}
        self._http = httpx.Client(base_url=stack.url, timeout=60)
        self._http.post("/api/auth/register", json=body).raise_for_status()
        form = {"username": email, "password": PASSWORD}
        token = self._http.post("/api/auth/login", data=form).json()["data"]["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._api = ApiClient(stack.url, None, Credential(email=email, password=PASSWORD))

    def submit(self, path: Path) -> str:
        """Upload a file; its task."""
        submitted = self._api.submit(path, {}, lambda *_: None)
        assert submitted.task_id
        return submitted.task_id

    def task(self, task_id: str) -> dict[str, object]:
        """A task as the API tells of it."""
        told: dict[str, object] = self._http.get(f"/api/tasks/{task_id}").json()["data"]
        return told

    def until(self, task_id: str, states: Sequence[str]) -> float:
        """The moment when a task is in one of these states."""
        while self.task(task_id)["state"] not in states:
            time.sleep(0.01)
        return time.perf_counter()

    def cancel(self, task_id: str) -> None:
        """Cancel a task."""
        self._http.post(f"/api/tasks/{task_id}/cancel").raise_for_status()

    def waiting(self) -> int:
        """How many of their tasks have not begun."""
        told = self._http.get("/api/tasks", params={"state": "queued"}).json()
        return int(told["data"]["total"])


def recording(folder: Path, seconds: int) -> Path:
    """Speech, in bytes that nobody has sent yet."""
    name = uuid.uuid4().hex
    looped = ("-stream_loop", str(seconds // 30), "-i", str(sample()), "-t", str(seconds))
    return ffmpeg(folder / f"{name}.flac", *looped, "-metadata", f"comment={name}")


def cancel_seconds(stack: Stack, folder: Path) -> list[tuple[str, float]]:
    """Stage at the cancel, and seconds from the request to `cancelled`."""
    choice, guest, found = random.Random(SEED), Guest(stack), []
    for _ in range(CANCELS):
        task_id = guest.submit(recording(folder, 300))
        guest.until(task_id, ["running"])
        time.sleep(choice.uniform(0, 5))
        stage = str(guest.task(task_id)["stage"])
        started = time.perf_counter()
        guest.cancel(task_id)
        found.append((stage, guest.until(task_id, ["cancelled"]) - started))
    return found


def waiting_seconds(stack: Stack, folder: Path) -> list[float]:
    """From the acceptance of a newcomer's short file to its end."""
    found = []
    for _ in range(NEWCOMERS):
        guest = Guest(stack)
        task_id = guest.submit(recording(folder, 10))
        started = time.perf_counter()
        found.append(guest.until(task_id, ["completed"]) - started)
    return found


def main(_arguments: list[str]) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(folder / "stack", environment=ENVIRONMENT)
        stack.up()
        try:
            cancels = cancel_seconds(stack, folder)
            idle = waiting_seconds(stack, folder)
            owner = Guest(stack)
            paths = [recording(folder, 30) for _ in range(FILES)]
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(owner.submit, paths))
            behind = waiting_seconds(stack, folder)
            left = owner.waiting()
        finally:
            stack.down()
    seconds = sorted(taken for _, taken in cancels)
    stages = {stage: sum(one == stage for one, _ in cancels) for stage, _ in cancels}
    print(f"{CANCELS} cancels at {stages}: median {statistics.median(seconds):.3f} s,")
    print(f"90th percentile {seconds[int(0.9 * CANCELS)]:.3f} s, max {seconds[-1]:.3f} s")
    rows = [
        (label, f"{statistics.median(taken):.1f}", f"{min(taken):.1f}-{max(taken):.1f}")
        for label, taken in (
            ("nobody else", idle),
            (f"behind {FILES} files of somebody else ({left} still waiting)", behind),
        )
    ]
    print(table(["a 10 s file, from accepted to completed", "median s", "spread"], rows))
