"""Many at a time decide about the same voices: whatever the order, they end in one state."""

import asyncio
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from db.engine import Sessions, session_scope
from db.models import MediaFile, TranscriptEdit
from tests.fixtures.files import user_id
from tests.fixtures.transcripts import read
from tests.fixtures.voices import SPEAKERS, changes, consistent, listed, match, name, recorded

PROFILES = "/api/speaker-profiles/profiles"
NAMES = ("Ada", "ada", "Bob", "Eve")
ROUNDS = 5
AT_ONCE = 8


class World:
    """A user's voices and people as they are before a round, and what may be done to them."""

    def __init__(self, client: httpx.AsyncClient, choice: random.Random) -> None:
        self.client = client
        self.choice = choice

    async def look(self) -> None:
        """See who is there."""
        self.voices = await listed(self.client)
        answer = await self.client.get(PROFILES, params={"page_size": 100})
        self.people = [one["id"] for one in answer.json()["data"]["items"]] or [str(uuid.uuid4())]
        self.changes = [one["id"] for one in await changes(self.client)] or [str(uuid.uuid4())]
        self.segments: dict[str, list[str]] = defaultdict(list)
        labels = {(one["media_file_id"], one["label"]): one["id"] for one in self.voices}
        for file_id in {one["media_file_id"] for one in self.voices}:
            for segment in (await read(self.client, file_id))[0]["segments"]:
                owner = labels.get((file_id, segment["speaker"]))
                self.segments[owner or ""].append(segment["id"])

    def voice(self) -> str:
        """Somebody; few, so that many are after the same one."""
        return self.choice.choice(self.voices[:5])["id"]

    def person(self) -> str:
        return self.choice.choice(self.people)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self.client.post(f"{SPEAKERS}/{path}", json=body)

    def rename(self) -> Any:
        action = self.choice.choice([None, "none", "create_new_profile", "update_profile"])
        return name(self.client, self.voice(), self.choice.choice(NAMES), profile_action=action)

    def unname(self) -> Any:
        return name(self.client, self.voice(), None)

    def confirm(self) -> Any:
        body = {"verified": self.choice.random() < 0.5}
        return self.client.put(f"{SPEAKERS}/{self.voice()}", json=body)

    def verify(self) -> Any:
        who = self.choice.choice([{}, {"profile_id": self.person()}, {"speaker_id": self.voice()}])
        body = {"action": self.choice.choice(["accept", "reject"]), **who}
        return self.post(f"{self.voice()}/verify", body)

    def merge(self) -> Any:
        return self.post(f"{self.voice()}/merge/{self.voice()}")

    def split(self) -> Any:
        who = self.voice()
        said = self.segments[who] or [str(uuid.uuid4())]
        body = {"segment_ids": [self.choice.choice(said)], "display_name": "Eve"}
        return self.post(f"{who}/split", body)

    def propagate(self) -> Any:
        ids = [one["id"] for one in self.voices]
        body = {"speaker_ids": ids, "display_name": self.choice.choice(NAMES)}
        return self.post(f"{self.voice()}/propagation", body)

    def undo(self) -> Any:
        return self.post(f"changes/{self.choice.choice(self.changes)}/undo")

    def add(self) -> Any:
        file_id = self.choice.choice(self.voices)["media_file_id"]
        return self.client.post(
            SPEAKERS, json={"media_file_id": file_id, "display_name": self.choice.choice(NAMES)}
        )

    def delete(self) -> Any:
        return self.client.delete(f"{SPEAKERS}/{self.voice()}")

    def forget(self) -> Any:
        return self.client.delete(f"{SPEAKERS}/{self.voice()}/voiceprint")

    def rename_person(self) -> Any:
        body = {"name": self.choice.choice(["Ann", "BOB", "Zoe"])}
        return self.client.put(f"{PROFILES}/{self.person()}", json=body)

    def delete_person(self) -> Any:
        return self.client.delete(f"{PROFILES}/{self.person()}")

    def merge_people(self) -> Any:
        return self.client.post(f"{PROFILES}/{self.person()}/merge/{self.person()}")

    def edit(self) -> Any:
        """Somebody gives a line to somebody else meanwhile."""
        who = self.choice.choice(self.voices)
        said = self.segments[who["id"]] or [str(uuid.uuid4())]
        url = f"/api/files/{who['media_file_id']}/transcript/segments/{said[0]}"
        body = {"speaker_id": self.voice()}
        return self.client.put(url, json=body, headers={"If-Match": "*"})

    def some(self, count: int) -> Sequence[Any]:
        """That many requests at a time."""
        ways: list[Callable[[], Any]] = [
            self.rename,
            self.rename,
            self.unname,
            self.confirm,
            self.verify,
            self.verify,
            self.merge,
            self.split,
            self.propagate,
            self.undo,
            self.add,
            self.delete,
            self.forget,
            self.rename_person,
            self.delete_person,
            self.merge_people,
            self.edit,
        ]
        return [self.choice.choice(ways)() for _ in range(count)]


async def histories(sessions: Sessions, owner: uuid.UUID) -> dict[uuid.UUID, list[int]]:
    """The versions that edits made, by file."""
    async with session_scope(sessions) as session:
        rows = await session.execute(
            select(TranscriptEdit.media_file_id, TranscriptEdit.version)
            .join(MediaFile, MediaFile.id == TranscriptEdit.media_file_id)
            .where(MediaFile.user_id == owner)
        )
        found: dict[uuid.UUID, list[int]] = defaultdict(list)
        for file_id, version in rows:
            found[file_id].append(version)
        return found


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_done_at_a_time_ends_in_one_state(client, sessions, seed):
    choice = random.Random(seed)
    said = [(n % 3, f"Line number {n} of them.") for n in range(9)]
    ids: list[str] = []
    for _ in range(3):
        ids += (await recorded(sessions, client, said, 3))[1]
    for one in ids[:3]:
        for other in ids[3:]:
            await match(sessions, one, other, 0.9)
    world, owner = World(client, choice), await user_id(client)
    before: dict[uuid.UUID, int] = {}
    succeeded = 0
    for _ in range(ROUNDS):
        await world.look()
        if not world.voices:
            break
        answers = await asyncio.gather(*world.some(AT_ONCE))
        for answer in answers:
            assert answer.status_code < 500, f"{answer.request.url} {answer.text}"
        succeeded += sum(answer.status_code < 300 for answer in answers)
        versions = await consistent(sessions, owner)
        assert all(versions[file_id] >= version for file_id, version in before.items())
        made = await histories(sessions, owner)
        for file_id, version in versions.items():
            # Each version was made by one edit, and none was made twice.
            assert sorted(made[file_id]) == list(range(2, version + 1))
        before = versions
    assert succeeded > ROUNDS


async def test_one_name_is_one_person_however_many_give_it_at_once(client, sessions):
    ids = [one for _ in range(4) for one in (await recorded(sessions, client))[1]]
    answers = await asyncio.gather(
        *(name(client, one, choice) for one, choice in zip(ids, ["Ada", "ADA"] * 4, strict=True))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["data"]["profile"]["id"] for answer in answers}) == 1
    await consistent(sessions, await user_id(client))


async def test_a_speaker_is_merged_once(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    answers = await asyncio.gather(
        *(client.post(f"{SPEAKERS}/{first}/merge/{second}") for _ in range(4)),
        *(client.post(f"{SPEAKERS}/{second}/merge/{first}") for _ in range(4)),
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 7
    assert len(await listed(client)) == 1
    await consistent(sessions, await user_id(client))


async def test_a_change_is_undone_by_one_of_many(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    assert (await name(client, first, "Ada")).status_code == 200
    [change] = await changes(client)
    url = f"{SPEAKERS}/changes/{change['id']}/undo"
    answers = await asyncio.gather(*(client.post(url) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 4
