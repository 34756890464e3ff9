"""Whatever is changed through the API, both stores have what a rebuild would give them."""

import asyncio
import random
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from db.engine import Sessions, session_scope
from db.models import Collection, MediaFile, SpeakerProfile, Tag
from pipelines.search.finding import SearchStores
from pipelines.search.notes import note_files
from pipelines.search.places import LIVE
from tests.fixtures.files import promote, user_id
from tests.fixtures.indexed import equal, forget_notes, waiting
from tests.fixtures.searchable import bring
from tests.fixtures.transcripts import ANY, read
from tests.fixtures.voices import SPEAKERS, match, name, recorded, voices

WORDS = re.findall(r"\w+", "apple river harvest basket market wind stone bridge cloud lamp mill")
PEOPLE = ("Ada", "Bob", "Cleo", "Dan")
TAGS = ("fruit", "news", "late", "draft")
STEPS = 30
ROUNDS = 3


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 9))).capitalize() + "."


@dataclass
class Somebody:
    """A user who changes things at random."""

    client: httpx.AsyncClient
    sessions: Sessions
    rng: random.Random
    id: uuid.UUID
    done: list[str] = field(default_factory=list)

    async def files(self) -> Sequence[str]:
        async with session_scope(self.sessions) as session:
            rows = await session.scalars(
                select(MediaFile.id).where(MediaFile.user_id == self.id).order_by(MediaFile.id)
            )
            return [str(one) for one in rows]

    async def of(self, table: Any) -> str | None:
        """One of a user's things."""
        async with session_scope(self.sessions) as session:
            rows = await session.scalars(
                select(table.id).where(table.user_id == self.id).order_by(table.id)
            )
            found = [str(one) for one in rows]
        return self.rng.choice(found) if found else None

    async def file(self) -> str:
        return self.rng.choice(await self.files() or [await self.record()])

    async def record(self) -> str:
        """What a transcription does at its end, in short."""
        said = [(self.rng.choice((0, 1, 2)), sentence(self.rng)) for _ in range(12)]
        file_id, _ = await recorded(self.sessions, self.client, said, 3)
        async with session_scope(self.sessions) as session:
            await note_files(session, self.id, [uuid.UUID(file_id)], spoken=True)
        return file_id

    async def segments(self) -> tuple[str, list[dict[str, Any]]]:
        file_id = await self.file()
        return file_id, (await read(self.client, file_id))[0]["segments"]

    async def voice(self) -> str | None:
        found = await voices(self.sessions, await self.file())
        return str(self.rng.choice(found).id) if found else None

    async def ask(self, method: str, path: str, body: Any = None) -> None:
        answer = await self.client.request(method, path, json=body, headers=ANY)
        # Refusals are answers too: a name is taken, a speaker has no words that could be split.
        assert answer.status_code < 500, answer.text
        self.done.append(f"{method} {path} {answer.status_code}")


async def edit_text(who: Somebody) -> None:
    file_id, segments = await who.segments()
    segment = who.rng.choice(segments)
    path = f"/api/files/{file_id}/transcript/segments/{segment['id']}"
    await who.ask("PUT", path, {"text": sentence(who.rng)})


async def edit_speaker(who: Somebody) -> None:
    file_id, segments = await who.segments()
    segment = who.rng.choice(segments)
    path = f"/api/files/{file_id}/transcript/segments/{segment['id']}"
    found = await voices(who.sessions, file_id)
    other = str(who.rng.choice(found).id) if found else None
    body = {"new_speaker": who.rng.choice(PEOPLE)} if who.rng.random() < 0.3 else None
    await who.ask("PUT", path, body or {"speaker_id": other})


async def split_segment(who: Somebody) -> None:
    file_id, segments = await who.segments()
    segment = who.rng.choice(segments)
    path = f"/api/files/{file_id}/transcript/segments/{segment['id']}/split"
    await who.ask("POST", path, {"word": 1})


async def merge_segments(who: Somebody) -> None:
    file_id, segments = await who.segments()
    at = who.rng.randrange(max(1, len(segments) - 1))
    ids = [segment["id"] for segment in segments[at : at + 2]]
    path = f"/api/files/{file_id}/transcript/segments/merge"
    await who.ask("POST", path, {"segment_ids": ids})


async def undo_edit(who: Somebody) -> None:
    file_id = await who.file()
    path = f"/api/files/{file_id}/transcript/edits"
    edits = (await who.client.get(path)).json()["data"]["items"]
    if edits:
        await who.ask("POST", f"{path}/{edits[0]['id']}/undo")


async def name_voice(who: Somebody) -> None:
    if voice := await who.voice():
        action = who.rng.choice([{}, {}, {"profile_action": "none"}])
        answer = await name(who.client, voice, who.rng.choice(PEOPLE), **action)
        assert answer.status_code < 500, answer.text
        who.done.append(f"name {answer.status_code}")


async def unname_voice(who: Somebody) -> None:
    if voice := await who.voice():
        await who.ask("DELETE", f"{SPEAKERS}/{voice}/profile")


async def merge_voices(who: Somebody) -> None:
    found = await voices(who.sessions, await who.file())
    if len(found) > 1:
        one, other = who.rng.sample(found, 2)
        await who.ask("POST", f"{SPEAKERS}/{one.id}/merge/{other.id}")


async def split_voice(who: Somebody) -> None:
    file_id, segments = await who.segments()
    segment = who.rng.choice(segments)
    by_label = {each.label: each.id for each in await voices(who.sessions, file_id)}
    if voice := by_label.get(segment["speaker"]):
        body = {"segment_ids": [segment["id"]], "display_name": who.rng.choice(PEOPLE)}
        await who.ask("POST", f"{SPEAKERS}/{voice}/split", body)


async def remove_voice(who: Somebody) -> None:
    if voice := await who.voice():
        await who.ask("DELETE", f"{SPEAKERS}/{voice}")


async def propagate(who: Somebody) -> None:
    one, other = await who.voice(), await who.voice()
    if one and other and one != other:
        try:
            await match(who.sessions, one, other, 0.9)
        except Exception as error:  # noqa: BLE001 - they match already
            assert "unique" in str(error)  # noqa: PT017
        await who.ask("POST", f"{SPEAKERS}/{one}/propagation", {"speaker_ids": [other]})


async def undo_names(who: Somebody) -> None:
    changes = (await who.client.get(f"{SPEAKERS}/changes")).json()["data"]["items"]
    if changes:
        await who.ask("POST", f"{SPEAKERS}/changes/{changes[0]['id']}/undo")


async def rename_person(who: Somebody) -> None:
    if profile := await who.of(SpeakerProfile):
        body = {"name": f"{who.rng.choice(PEOPLE)} {who.rng.choice(WORDS)}"}
        await who.ask("PUT", f"/api/speaker-profiles/profiles/{profile}", body)


async def merge_people(who: Somebody) -> None:
    one, other = await who.of(SpeakerProfile), await who.of(SpeakerProfile)
    if one and other and one != other:
        await who.ask("POST", f"/api/speaker-profiles/profiles/{one}/merge/{other}")


async def erase_person(who: Somebody) -> None:
    if profile := await who.of(SpeakerProfile):
        await who.ask("POST", f"/api/speaker-profiles/profiles/{profile}/erase")


async def delete_person(who: Somebody) -> None:
    if profile := await who.of(SpeakerProfile):
        await who.ask("DELETE", f"/api/speaker-profiles/profiles/{profile}")


async def tag(who: Somebody) -> None:
    body = {"name": who.rng.choice(TAGS)}
    await who.ask("POST", f"/api/tags/files/{await who.file()}", body)


async def untag(who: Somebody) -> None:
    if found := await who.of(Tag):
        await who.ask("DELETE", f"/api/tags/files/{await who.file()}/{found}")


async def rename_tag(who: Somebody) -> None:
    if found := await who.of(Tag):
        await who.ask("PUT", f"/api/tags/{found}", {"name": f"{who.rng.choice(WORDS)} tag"})


async def delete_tag(who: Somebody) -> None:
    if found := await who.of(Tag):
        await who.ask("DELETE", f"/api/tags/{found}")


async def collect(who: Somebody) -> None:
    await who.ask("POST", "/api/collections", {"name": who.rng.choice(WORDS)})
    found = await who.of(Collection)
    path = f"/api/collections/{found}/media"
    await who.ask("POST", path, {"file_ids": [await who.file()]})


async def uncollect(who: Somebody) -> None:
    if found := await who.of(Collection):
        path = f"/api/collections/{found}/media/remove"
        await who.ask("POST", path, {"file_ids": [await who.file()]})


async def delete_collection(who: Somebody) -> None:
    if found := await who.of(Collection):
        await who.ask("DELETE", f"/api/collections/{found}")


async def describe(who: Somebody) -> None:
    body = {"title": who.rng.choice([sentence(who.rng), None])}
    await who.ask("PUT", f"/api/files/{await who.file()}", body)


async def delete_file(who: Somebody) -> None:
    await who.ask("DELETE", f"/api/files/{await who.file()}")


async def record(who: Somebody) -> None:
    await who.record()


CHANGES: Sequence[Callable[[Somebody], Awaitable[None]]] = (
    edit_text,
    edit_speaker,
    split_segment,
    merge_segments,
    undo_edit,
    name_voice,
    name_voice,
    unname_voice,
    merge_voices,
    split_voice,
    remove_voice,
    propagate,
    undo_names,
    rename_person,
    merge_people,
    erase_person,
    delete_person,
    tag,
    tag,
    untag,
    rename_tag,
    delete_tag,
    collect,
    collect,
    uncollect,
    delete_collection,
    describe,
    delete_file,
    record,
)


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_changes_reach_both_stores(
    client, stranger, sessions, stores: SearchStores, seed: int
):
    rng = random.Random(seed)
    people = [Somebody(one, sessions, rng, await user_id(one)) for one in (client, stranger)]
    for who in people:
        for _ in range(3):
            await who.record()
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            await rng.choice(CHANGES)(rng.choice(people))
        await bring(stores)
        await equal(stores)
    done = [each for who in people for each in who.done]
    assert sum(each.split()[-1].startswith("2") for each in done) > len(done) / 3


async def each_alone(who: Somebody, change: Callable[[Somebody], Awaitable[None]]) -> None:
    """A change of something that is sure to be there."""
    before = len(who.done)
    await change(who)
    assert all(each.split()[-1].startswith("2") for each in who.done[before:]), who.done[before:]


@pytest.mark.parametrize(
    ("change", "stores_told"),
    [
        (edit_text, {"keywords", "passages"}),
        (split_segment, {"keywords", "passages"}),
        (merge_voices, {"keywords", "passages"}),
        (remove_voice, {"keywords", "passages"}),
        (delete_file, {"keywords", "passages"}),
        (name_voice, {"keywords"}),
        (rename_person, {"keywords"}),
        (erase_person, {"keywords"}),
        (tag, {"keywords"}),
        (rename_tag, {"keywords"}),
        (delete_tag, {"keywords"}),
        (collect, {"keywords"}),
        (delete_collection, {"keywords"}),
        (describe, {"keywords"}),
        (delete_person, set()),
    ],
    ids=lambda value: value.__name__ if callable(value) else "+".join(sorted(value)) or "none",
)
async def test_each_change_tells_the_stores_that_it_concerns(client, sessions, change, stores_told):
    who = Somebody(client, sessions, random.Random(7), await user_id(client))
    file_id = await who.record()
    found = await voices(sessions, file_id)
    for voice, called in zip(found, PEOPLE, strict=False):
        assert (await name(client, str(voice.id), called)).status_code == 200
    await each_alone(who, tag)
    await each_alone(who, collect)
    await forget_notes(sessions)
    who.rng = random.Random(3)
    await each_alone(who, change)
    assert {destination for destination, _ in await waiting(sessions)} == stores_told
    assert {subject for _, subject in await waiting(sessions)} <= {f"file/{file_id}"}


async def test_an_account_that_an_administrator_deletes_leaves_nothing(
    client, stranger, sessions, stores: SearchStores
):
    await promote(sessions, client)
    gone = Somebody(stranger, sessions, random.Random(1), await user_id(stranger))
    await gone.record()
    await bring(stores)
    assert await stores.keywords.count(LIVE, gone.id) > 0
    assert (await client.delete(f"/api/users/{gone.id}")).status_code == 204
    await bring(stores)
    assert await waiting(sessions) == set()
    assert await stores.keywords.count(LIVE) == 0
    [space] = await stores.vectors.spaces()
    assert await stores.vectors.count(space) == 0


AT_ONCE: Sequence[Callable[[Somebody], Awaitable[None]]] = (
    tag,
    untag,
    rename_tag,
    delete_tag,
    collect,
    uncollect,
    delete_collection,
    describe,
    delete_file,
    name_voice,
    rename_person,
)


async def test_changes_of_the_same_files_at_once_do_not_wait_for_each_other(
    client, sessions, stores: SearchStores
):
    """Nobody is refused because two transactions had notes in another order."""
    who = Somebody(client, sessions, random.Random(5), await user_id(client))
    for _ in range(4):
        await who.record()
    for _ in range(6):
        chosen = [who.rng.choice(AT_ONCE) for _ in range(8)]
        await asyncio.gather(*(change(who) for change in chosen))
        await who.record()
    await bring(stores)
    await equal(stores)
