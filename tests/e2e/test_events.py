"""A thousand WebSockets on one API replica, through Serve's proxy: order, and nothing missing."""

import asyncio
import json
import resource
import sys
import time
import uuid
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from cluster.embedded.installation import Installation
from cluster.settings import DatabaseSettings
from db.engine import Sessions, create_engine, create_sessions, session_scope
from db.queries import events
from tests.fixtures.api import sign_up
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack

USERS = 10
CLIENTS_PER_USER = 100
CLIENTS = USERS * CLIENTS_PER_USER
EVENTS = 24
"""Of each user; in the middle everybody loses the connection."""
SECONDS = 300
OPENING = 32
"""Handshakes under way at a time: a page that lost its connection waits a moment too."""


@dataclass
class Listener:
    """One client, which remembers what it was told."""

    url: str
    token: str
    user_id: uuid.UUID
    seen: list[int] = field(default_factory=list)
    opened: ClientConnection | None = None

    async def open(self, gate: asyncio.Semaphore) -> None:
        """Connect after what was seen last."""
        last = self.seen[-1] if self.seen else 0
        async with gate:
            self.opened = await connect(
                f"{self.url}/api/ws?last_event_id={last}",
                additional_headers={"Authorization": f"Bearer {self.token}"},
                open_timeout=SECONDS,
                ping_interval=None,
            )
            greeting = json.loads(await self.opened.recv())
        assert greeting["type"] == "connection_established"
        assert greeting["data"] == {"user_id": str(self.user_id), "last_event_id": last}

    async def hear(self, until: int) -> None:
        """Take what is told, up to a number."""
        while not self.seen or self.seen[-1] < until:
            frame = json.loads(await self.opened.recv())
            assert frame["data"] == {"of": str(self.user_id)}
            self.seen.append(frame["id"])

    def lose(self) -> None:
        """The connection is gone, without a word to the other side."""
        self.opened.transport.abort()


async def tell(sessions: Sessions, users: list[uuid.UUID], count: int) -> None:
    for _ in range(count):
        for user_id in users:
            async with session_scope(sessions) as session:
                await events.append(session, user_id, "seen", {"of": str(user_id)})


async def sign_up_all(url: str) -> dict[uuid.UUID, str]:
    """Users and their tokens."""
    users = {}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for _ in range(USERS):
            token = (await sign_up(client))["access_token"]
            me = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
            users[uuid.UUID(me.json()["data"]["id"])] = token
    return users


async def test_a_thousand_clients_miss_nothing_when_all_lose_their_connection(stack: Stack):
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < 3 * CLIENTS:
        pytest.skip(f"{CLIENTS} sockets need more than the {files} open files allowed here")
    assert len(stack.processes("ServeReplica:api:Api")) == 1
    database = Installation(stack.data_dir).environment()["DATABASE_URL"]
    engine = create_engine(DatabaseSettings(url=SecretStr(database)))
    sessions = create_sessions(engine)
    users = await sign_up_all(stack.url)
    url = stack.url.replace("http", "ws", 1)
    listeners = [
        Listener(url, token, user_id)
        for user_id, token in users.items()
        for _ in range(CLIENTS_PER_USER)
    ]
    gate = asyncio.Semaphore(OPENING)
    began = time.monotonic()

    def note(what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:6.1f} s: {what}\n")

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(one.open(gate) for one in listeners))
        note("all are connected")
        await asyncio.gather(
            tell(sessions, list(users), EVENTS // 2),
            *(one.hear(EVENTS // 2) for one in listeners),
        )
        note("half is heard")
        for one in listeners:
            one.lose()

        async def again(one: Listener) -> None:
            await one.open(gate)
            await one.hear(EVENTS)

        await asyncio.gather(
            tell(sessions, list(users), EVENTS - EVENTS // 2),
            *(again(one) for one in listeners),
        )
        note("all is heard")
    assert len(listeners) == CLIENTS
    assert all(one.seen == list(range(1, EVENTS + 1)) for one in listeners)
    for one in listeners:
        one.lose()
    await engine.dispose()
