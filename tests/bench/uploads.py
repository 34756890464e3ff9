"""200 uploads of 20 MB in parts at the same time: what the proxy and the API keep in memory.

`python -m tests.bench uploads`: ten users with five uploads each, then twenty; ten of them stop in
the middle and are swept. Peak resident set size, sampled twice a second.
"""

import asyncio
import hashlib
import os
import tempfile
import time
import uuid
from pathlib import Path

import httpx

from tests.bench.memory import MIB, Watch
from tests.fixtures.media import tone
from tests.fixtures.stack import Stack

USERS, EACH, SIZE, DESERTERS = 10, (5, 20), 20 * MIB, 10
PASSWORD = "correct horse battery staple"
EXPIRE = (
    "UPDATE upload SET expires_at = now() - interval '1 second' WHERE state = 'open'",
    "UPDATE outbox SET due_at = now()",
)
LEFT = "SELECT count(*) FROM outbox"
"""Each prefix under which objects of an upload may be is noted until they are removed."""
SWEEP_SECONDS = 120


def content(head: bytes) -> bytes:
    """A recording of 20 MB that nobody has sent before: a FLAC with noise after its end."""
    return head + os.urandom(SIZE - len(head))


async def guest(url: str) -> httpx.AsyncClient:
    """Somebody new, signed in."""
    client = httpx.AsyncClient(base_url=url, timeout=600)
    email = f"{uuid.uuid4().hex}@example.org"
    body = {"email": email, "password": PASSWORD}
    (await client.post("/api/auth/register", json=body)).raise_for_status()
    form = {"username": email, "password": PASSWORD}
    answer = await client.post("/api/auth/login", data=form)
    client.headers["Authorization"] = f"Bearer {answer.json()['data']['access_token']}"
    return client


async def upload(client: httpx.AsyncClient, data: bytes, *, deserts: bool) -> str:
    """Prepare, send the parts, complete; or stop after the first part."""
    body = {"filename": "talk.flac", "size_bytes": len(data)}
    body |= {"sha256": hashlib.sha256(data).hexdigest()}
    opened = (await client.post("/api/files/upload/prepare", json=body)).raise_for_status()
    told = opened.json()["data"]
    path = f"/api/files/upload/{told['upload_id']}"
    size = told["part_bytes"]
    for number in range(1, told["part_count"] + 1):
        part = data[(number - 1) * size : number * size]
        (await client.put(f"{path}/parts/{number}", content=part)).raise_for_status()
        if deserts:
            return "deserted"
    completed = await client.post(f"{path}/complete", json={})
    return str(completed.status_code)


async def crowd(url: str, head: bytes, each: int) -> dict[str, int]:
    """So many uploads of each user at once; how many ended how."""
    clients = [await guest(url) for _ in range(USERS)]
    ends = await asyncio.gather(
        *(
            upload(client, content(head), deserts=number * USERS + order < DESERTERS)
            for number in range(each)
            for order, client in enumerate(clients)
        )
    )
    for client in clients:
        await client.aclose()
    return {end: ends.count(end) for end in sorted(set(ends))}


def swept(stack: Stack) -> int:
    """Let the deserted uploads expire; rows that are left when the sweeper has been there."""
    for statement in EXPIRE:
        stack.query(statement)
    for _ in range(SWEEP_SECONDS):
        left = int(stack.query(LEFT)[0][0])
        if not left:
            break
        time.sleep(1)
    return left


def main(_arguments: list[str]) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {"RAYSCRIBE_MAINTENANCE_INTERVAL_SECONDS": "5"}
        stack = Stack(folder / "stack", environment=environment)
        stack.up()
        watch = Watch(stack)
        head = tone(folder / "tone.flac", 5).read_bytes()
        try:
            with watch.phase("one upload"):
                asyncio.run(one(stack.url, head))
            for each in EACH:
                with watch.phase(f"{USERS * each} uploads at once"):
                    print(asyncio.run(crowd(stack.url, head, each)), flush=True)
                left = swept(stack)
                print(f"left of {DESERTERS} deserted uploads after the sweep: {left} notes")
        finally:
            watch.show()
            stack.down()


async def one(url: str, head: bytes) -> None:
    """A single upload, for the figure to compare with."""
    client = await guest(url)
    await upload(client, content(head), deserts=False)
    await client.aclose()
