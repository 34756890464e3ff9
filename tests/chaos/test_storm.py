"""Two hundred tasks of five users under twenty random kills: each ends once, and as in a quiet run.

A task that lost its runner three times is a dead letter, as it would be if its file had killed
them; its user tries it again. `make chaos` only: it takes about seven minutes.
"""

import json
import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rayscribe.api_client import ApiClient, Submitted
from rayscribe.bootstrap import Credential
from tests.chaos.tasks import await_end
from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.chaos_matrix, pytest.mark.timeout(3600)]

USERS, TASKS, KILLS, VARIANTS = 5, 200, 20, 4
SEED = 20
VICTIMS = {
    "ServeReplica:pipelines:Transcriber": 5,
    "ServeReplica:pipelines:Runner": 5,
    "ServeReplica:pipelines:Preparer": 3,
    "ServeReplica:pipelines:SpeakerEmbedder": 1,
    "ServeReplica:api:Api": 2,
    "postgres -D": 2,
    "weed": 1,
    "gcs_server": 1,
}
"""How often each is killed; in all KILLS times."""
ENDS = """
select count(*) from task_event where task_id = $1 and payload ->> 'task_state' = any($2::text[])
"""
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Sent:
    """A recording, whose it is, and which of the variants."""

    user: int
    variant: int
    submitted: Submitted


@pytest.fixture
def clients(stack: Stack) -> Iterator[list[ApiClient]]:
    """Five users, signed in."""
    made = []
    for _ in range(USERS):
        email = f"{uuid.uuid4().hex}@example.org"
        body = {"email": email, "password": PASSWORD}
        httpx.post(f"{stack.url}/api/auth/register", json=body, timeout=60).raise_for_status()
        made.append(ApiClient(stack.url, None, Credential(email=email, password=PASSWORD)))
    yield made
    for client in made:
        client.close()


def variant(folder: Path, number: int) -> Path:
    """Ten seconds of the sample from another place; its bytes differ from call to call."""
    cut = ("-ss", str(4 * number), "-t", "10", "-i", str(sample()))
    folder.mkdir()
    return ffmpeg(folder / "cut.flac", *cut, "-metadata", f"comment={uuid.uuid4()}")


def transcript(client: ApiClient, file_id: str) -> dict[str, object]:
    """What was made of a recording."""
    made: dict[str, object] = json.loads(client.export(file_id, "json"))
    return made


def test_two_hundred_tasks_survive_twenty_kills(
    stack: Stack, clients: list[ApiClient], tmp_path: Path
):
    stack.await_health()
    quiet = []
    for number in range(VARIANTS):
        submitted = clients[0].submit(variant(tmp_path / f"q{number}", number), {}, lambda *_: None)
        assert await_end(stack, submitted.task_id)["state"] == "completed"
        quiet.append(transcript(clients[0], submitted.file_id))
    paths = [
        (number, variant(tmp_path / f"s{number}", number % VARIANTS)) for number in range(TASKS)
    ]

    def send(item: tuple[int, Path]) -> Sent:
        number, path = item
        user = number % USERS
        sent = clients[user].submit(path, {}, lambda *_: None)
        return Sent(user, number % VARIANTS, sent)

    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(send, paths))
    kills(stack)
    ended = [await_end(stack, item.submitted.task_id, 1800) for item in sent]
    stack.await_health()
    for task in ended:
        [ends] = stack.query(ENDS, task["id"], ["completed", "failed", "cancelled"])
        assert ends["count"] == 1
    letters = [item for item, task in zip(sent, ended, strict=True) if task["state"] != "completed"]
    for task in ended:
        found = (task["state"], task["error_type"], task["attempt"])
        assert found[0] == "completed" or found == ("failed", "attempts_exhausted", 3)
    print(f"{TASKS} tasks, {KILLS} kills: {len(letters)} lost three runners and are tried again")
    assert len(letters) < TASKS / 10
    for item in letters:
        client = clients[item.user]
        answer = client._ask("POST", f"/api/tasks/retry/{item.submitted.file_id}")
        again = await_end(stack, client._data(answer)["task"]["id"])
        assert again["state"] == "completed"
    for item in sent:
        assert transcript(clients[item.user], item.submitted.file_id) == quiet[item.variant]


def kills(stack: Stack) -> None:
    """Kill parts in a random order, each when something is under way and the service is up."""
    order = [word for word, times in VICTIMS.items() for _ in range(times)]
    assert len(order) == KILLS
    choice = random.Random(SEED)
    choice.shuffle(order)
    for word in order:
        stack.await_health(300)
        time.sleep(choice.uniform(0.5, 5.0))
        # The one before it may not be replaced yet.
        while not (victims := stack.processes(word)):
            time.sleep(0.2)
        choice.choice(victims).kill()
