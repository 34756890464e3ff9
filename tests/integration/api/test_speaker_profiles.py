"""Profiles: people of a user across files, and what follows when they are changed."""

import asyncio
import uuid

import pytest
from sqlalchemy import func, select

from db.engine import session_scope
from db.models import (
    CannotLink,
    Destination,
    OutboxEntry,
    ProfileRejection,
    Speaker,
    SpeakerCollectionMember,
    TaskEvent,
    Transcript,
    TranscriptEdit,
)
from db.queries import speakers
from tests.fixtures.files import user_id
from tests.fixtures.voiceprints import add_file, add_profile, assign, axis, bring, near, speaker
from tests.integration.api.test_uploads import error_type

PROFILES = "/api/speaker-profiles/profiles"
SPEAKERS = "/api/speaker-profiles/speakers"
COLLECTIONS = "/api/speaker-profiles/collections"
RANDOM = str(uuid.uuid4())
HOSTILE = [
    "a\x00b",
    "a\x07b",
    "a\nb",
    "\u202egnp.exe",
    " ",
    "",
    "x" * 256,
]


async def made(client, name: str = "Ada", **more: str) -> str:
    answer = await client.post(PROFILES, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]["id"]


async def get(client, profile_id) -> dict:
    answer = await client.get(f"{PROFILES}/{profile_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def listed(client, **params) -> list[str]:
    answer = await client.get(PROFILES, params=params)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["data"]["items"]]


async def last_event(sessions) -> dict:
    async with session_scope(sessions) as session:
        row = await session.scalar(select(TaskEvent).order_by(TaskEvent.sequence.desc()).limit(1))
        return {"type": row.type, **row.payload}


@pytest.fixture
async def me(client) -> uuid.UUID:
    return await user_id(client)


class TestProfiles:
    async def test_made_read_changed(self, client):
        profile_id = await made(client, " Ada ", description="Chairs\nthe board.")
        told = await get(client, profile_id)
        assert (told["name"], told["description"]) == ("Ada", "Chairs\nthe board.")
        assert (told["speaker_count"], told["samples"], told["has_voiceprint"]) == (0, 0, False)
        answer = await client.put(f"{PROFILES}/{profile_id}", json={"description": ""})
        assert answer.json()["data"]["description"] == ""
        assert answer.json()["data"]["name"] == "Ada"

    @pytest.mark.parametrize("name", HOSTILE)
    async def test_names_that_are_none(self, client, name):
        profile_id = await made(client)
        for answer in (
            await client.post(PROFILES, json={"name": name}),
            await client.put(f"{PROFILES}/{profile_id}", json={"name": name}),
        ):
            assert error_type(answer) == (422, "validation_error")

    @pytest.mark.parametrize(
        "name", ['Zoë "Q" O\'Neil', "100%", "a_b\\", "田中", "<b>Ada</b>", "🙂"]
    )
    async def test_names_that_are_odd(self, client, name):
        await made(client, name)
        await made(client, "Somebody")
        assert await listed(client, search=name[-2:]) == [name]

    async def test_one_of_a_name_whatever_the_letter_case(self, client, stranger):
        profile_id = await made(client, "Ada")
        assert error_type(await client.post(PROFILES, json={"name": "ADA"})) == (409, "name_taken")
        await made(stranger, "Ada")
        await made(client, "Bert")
        taken = await client.put(f"{PROFILES}/{profile_id}", json={"name": "bert"})
        assert error_type(taken) == (409, "name_taken")
        renamed = await client.put(f"{PROFILES}/{profile_id}", json={"name": "ADA"})
        assert renamed.json()["data"]["name"] == "ADA"

    async def test_two_at_a_time_of_one_name(self, client):
        answers = await asyncio.gather(
            *(client.post(PROFILES, json={"name": name}) for name in ("Ada", "ada", "ADA"))
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]

    async def test_an_empty_change(self, client):
        profile_id = await made(client)
        answer = await client.put(f"{PROFILES}/{profile_id}", json={})
        assert error_type(answer) == (422, "validation_error")

    async def test_figures(self, client, sessions, me, vectors):
        _, [one, other] = await add_file(sessions, me, axis(0), near(axis(0), 0.9, 1))
        _, [third] = await add_file(sessions, me, near(axis(0), 0.95, 2))
        profile_id = await made(client)
        await assign(sessions, me, [one, third], uuid.UUID(profile_id))
        async with session_scope(sessions) as session:
            (await session.get_one(Speaker, one)).speech_seconds = 12.5
            row = await session.get_one(Speaker, other)
            row.profile_id, row.display_name = uuid.UUID(profile_id), "Ada"
        await bring(sessions, vectors)
        told = await get(client, profile_id)
        assert told["speaker_count"] == 3
        assert (told["file_count"], told["verified_count"]) == (2, 2)
        assert (told["speech_seconds"], told["samples"]) == (12.5, 2)
        assert told["has_voiceprint"]
        [in_list] = (await client.get(PROFILES)).json()["data"]["items"]
        assert in_list == told

    async def test_pages_by_name(self, client, stranger):
        for name in ("bert", "Ada", "Carl"):
            await made(client, name)
        await made(stranger, "Dora")
        assert await listed(client) == ["Ada", "bert", "Carl"]
        answer = await client.get(PROFILES, params={"page": 2, "page_size": 2})
        data = answer.json()["data"]
        assert ([item["name"] for item in data["items"]], data["total"]) == (["Carl"], 3)
        assert await listed(client, search="ER") == ["bert"]
        nul = await client.get(PROFILES, params={"search": "a\x00"})
        assert error_type(nul) == (422, "validation_error")


class TestRenaming:
    async def test_all_voices_follow(self, client, sessions, me):
        file_id, [one, other] = await add_file(sessions, me, axis(0), axis(1))
        _, [third] = await add_file(sessions, me, axis(0))
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, [one, third], profile_id)
        await client.put(f"{PROFILES}/{profile_id}", json={"name": "Ada B."})
        for voice in (one, third):
            row = await speaker(sessions, voice)
            assert (row.display_name, row.profile_id, row.verified) == ("Ada B.", profile_id, True)
        assert (await speaker(sessions, other)).display_name is None
        async with session_scope(sessions) as session:
            found = await session.scalars(
                select(Transcript.version).where(Transcript.media_file_id == file_id)
            )
            assert found.one() == 3
            edit = await session.scalar(
                select(TranscriptEdit).where(
                    TranscriptEdit.media_file_id == file_id, TranscriptEdit.version == 3
                )
            )
        [before], [after] = edit.before["speakers"], edit.after["speakers"]
        assert (before["display_name"], after["display_name"]) == ("Ada", "Ada B.")
        assert before["id"] == str(one)
        told = await last_event(sessions)
        assert (told["type"], told["action"]) == ("speakers_updated", "renamed")
        assert told["total_files"] == 2

    async def test_the_same_name_again_changes_no_transcript(self, client, sessions, me):
        _, [one] = await add_file(sessions, me, axis(0))
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, [one], profile_id)
        await client.put(f"{PROFILES}/{profile_id}", json={"name": "Ada"})
        async with session_scope(sessions) as session:
            assert (await session.scalars(select(Transcript.version))).all() == [2]

    async def test_against_a_deletion(self, client, sessions, me):
        _, voices = await add_file(sessions, me, axis(0), axis(1), axis(2))
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, voices, profile_id)
        renamed, deleted = await asyncio.gather(
            client.put(f"{PROFILES}/{profile_id}", json={"name": "Bea"}),
            client.delete(f"{PROFILES}/{profile_id}"),
        )
        assert deleted.status_code == 204
        assert renamed.status_code in {200, 404}
        expected = "Bea" if renamed.status_code == 200 else "Ada"
        assert {(await speaker(sessions, one)).display_name for one in voices} == {expected}


class TestDeleting:
    async def test_voices_keep_the_name_as_a_label(self, client, sessions, me, vectors):
        _, [one] = await add_file(sessions, me, axis(0))
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, [one], profile_id)
        await bring(sessions, vectors)
        assert (await client.delete(f"{PROFILES}/{profile_id}")).status_code == 204
        row = await speaker(sessions, one)
        assert (row.display_name, row.verified, row.profile_id) == ("Ada", True, None)
        assert error_type(await client.get(f"{PROFILES}/{profile_id}")) == (404, "not_found")
        async with session_scope(sessions) as session:
            voices = OutboxEntry.destination == Destination.vectors
            noted = (await session.scalars(select(OutboxEntry.subject).where(voices))).all()
        assert noted == [f"profile/{profile_id}"]
        assert (await last_event(sessions))["action"] == "profile_deleted"
        await made(client, "Ada")

    async def test_of_another_user(self, client, stranger):
        profile_id = await made(client)
        foreign = await stranger.delete(f"{PROFILES}/{profile_id}")
        unknown = await stranger.delete(f"{PROFILES}/{RANDOM}")
        assert error_type(foreign) == error_type(unknown) == (404, "not_found")
        assert (await get(client, profile_id))["name"] == "Ada"


class TestMerging:
    async def test_everything_moves(self, client, sessions, me):
        _, [one] = await add_file(sessions, me, axis(0))
        _, [other, third] = await add_file(sessions, me, axis(1), axis(2))
        ada, countess = [await add_profile(sessions, me, name) for name in ("Ada", "Countess")]
        await assign(sessions, me, [one], ada)
        await assign(sessions, me, [other], countess)
        collection = await collected(client, ada)
        async with session_scope(sessions) as session:
            session.add(ProfileRejection(speaker_id=third, profile_id=ada))
            session.add(ProfileRejection(speaker_id=one, profile_id=countess))
            first, second = sorted((one, other))
            session.add(CannotLink(first_id=first, second_id=second))
        answer = await client.post(f"{PROFILES}/{ada}/merge/{countess}")
        assert answer.status_code == 200, answer.text
        told = answer.json()["data"]
        assert (told["name"], told["speaker_count"], told["verified_count"]) == ("Countess", 2, 2)
        row = await speaker(sessions, one)
        assert (row.display_name, row.profile_id, row.verified) == ("Countess", countess, True)
        assert error_type(await client.get(f"{PROFILES}/{ada}")) == (404, "not_found")
        assert await listed(client, collection_id=collection) == ["Countess"]
        async with session_scope(sessions) as session:
            rejected = (await session.scalars(select(ProfileRejection))).all()
            assert [(r.speaker_id, r.profile_id) for r in rejected] == [(third, countess)]
            assert (await session.scalars(select(CannotLink))).all() == []
            noted = set(await session.scalars(select(OutboxEntry.subject)))
        assert noted >= {f"profile/{ada}", f"profile/{countess}"}

    async def test_with_itself_and_with_others(self, client, stranger):
        mine, theirs = await made(client), await made(stranger)
        itself = await client.post(f"{PROFILES}/{mine}/merge/{mine}")
        assert error_type(itself) == (422, "validation_error")
        for one, other in ((mine, theirs), (theirs, mine), (mine, RANDOM)):
            answer = await client.post(f"{PROFILES}/{one}/merge/{other}")
            assert error_type(answer) == (404, "not_found")
        assert (await get(stranger, theirs))["name"] == "Ada"

    async def test_into_each_other_at_a_time(self, client):
        one, other = await made(client, "Ada"), await made(client, "Bert")
        answers = await asyncio.gather(
            client.post(f"{PROFILES}/{one}/merge/{other}"),
            client.post(f"{PROFILES}/{other}/merge/{one}"),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 404]
        assert len(await listed(client)) == 1


class TestOccurrences:
    async def test_files_with_voices_newest_first(self, client, stranger, sessions, me):
        first, [one, _] = await add_file(sessions, me, axis(0), axis(1))
        second, twice = await add_file(sessions, me, axis(0), axis(0))
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, [one, *twice], profile_id)
        path = f"{PROFILES}/{profile_id}/occurrences"
        data = (await client.get(path)).json()["data"]
        assert [item["file_id"] for item in data["items"]] == [str(second), str(first)]
        assert [len(item["speakers"]) for item in data["items"]] == [2, 1]
        assert data["items"][1]["speakers"][0]["id"] == str(one)
        assert error_type(await stranger.get(path)) == (404, "not_found")


class TestAssigning:
    async def test_a_voice_is_given_and_taken(self, client, sessions, me):
        _, [one] = await add_file(sessions, me, axis(0))
        profile_id = await add_profile(sessions, me, "Ada")
        async with session_scope(sessions) as session:
            session.add(ProfileRejection(speaker_id=one, profile_id=profile_id))
        path = f"{SPEAKERS}/{one}/assign-profile"
        answer = await client.post(path, json={"profile_id": str(profile_id)})
        told = answer.json()["data"]
        assert (told["display_name"], told["verified"]) == ("Ada", True)
        assert told["profile_id"] == str(profile_id)
        async with session_scope(sessions) as session:
            assert await session.scalar(select(func.count()).select_from(ProfileRejection)) == 0
        answer = await client.delete(f"{SPEAKERS}/{one}/profile")
        told = answer.json()["data"]
        assert (told["display_name"], told["profile_id"]) == (None, None)
        assert not told["verified"]

    async def test_a_label_without_a_profile_stays(self, client, sessions, me):
        _, [one] = await add_file(sessions, me, axis(0))
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, [one], profile_id)
        await client.delete(f"{PROFILES}/{profile_id}")
        answer = await client.delete(f"{SPEAKERS}/{one}/profile")
        assert answer.json()["data"]["display_name"] == "Ada"

    async def test_what_is_not_mine(self, client, stranger, sessions, me):
        _, [one] = await add_file(sessions, me, axis(0))
        theirs = await made(stranger)
        path = f"{SPEAKERS}/{one}/assign-profile"
        foreign = await client.post(path, json={"profile_id": theirs})
        assert error_type(foreign) == (404, "not_found")
        answer = await stranger.post(path, json={"profile_id": theirs})
        assert error_type(answer) == (404, "not_found")
        assert (await speaker(sessions, one)).profile_id is None


class TestSuggestions:
    async def test_a_name_is_suggested_to_voices_like_it(self, client, sessions, me, vectors):
        _, [one] = await add_file(sessions, me, axis(0))
        _, [other] = await add_file(sessions, me, near(axis(0), 0.6, 1))
        await bring(sessions, vectors)
        path = f"{SPEAKERS}/{other}/suggestions"
        assert (await client.get(path)).json()["data"] == []
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, [one], profile_id)
        [told] = (await client.get(path)).json()["data"]
        assert (told["name"], told["profile_id"]) == ("Ada", str(profile_id))
        assert (told["source"], told["level"]) == ("voice", "medium")
        assert told["speaker_id"] == str(one)
        assert told["similarity"] == pytest.approx(0.6, abs=1e-3)
        await bring(sessions, vectors)
        [told] = (await client.get(path)).json()["data"]
        assert told["matches"] == 2
        await client.delete(f"{PROFILES}/{profile_id}")
        [told] = (await client.get(path)).json()["data"]
        assert (told["name"], told["profile_id"], told["matches"]) == ("Ada", None, 1)

    async def test_threshold(self, client, sessions, me, vectors):
        _, [one] = await add_file(sessions, me, axis(0))
        _, [other] = await add_file(sessions, me, near(axis(0), 0.6, 1))
        await bring(sessions, vectors)
        await assign(sessions, me, [one], await add_profile(sessions, me, "Ada"))
        path = f"{SPEAKERS}/{other}/suggestions"
        for threshold, count in ((0.5, 1), (0.61, 0), (0, 1), (1, 0)):
            answer = await client.get(path, params={"threshold": threshold})
            assert len(answer.json()["data"]) == count
        for wrong in (-0.1, 1.1, "nan", "x"):
            answer = await client.get(path, params={"threshold": wrong})
            assert error_type(answer) == (422, "validation_error")

    async def test_what_was_ruled_out(self, client, sessions, me, vectors):
        _, [one] = await add_file(sessions, me, axis(0))
        _, [other] = await add_file(sessions, me, near(axis(0), 0.6, 1))
        _, [third] = await add_file(sessions, me, near(axis(0), 0.6, 2))
        await bring(sessions, vectors)
        profile_id = await add_profile(sessions, me, "Ada")
        await assign(sessions, me, [one], profile_id)
        await bring(sessions, vectors)
        first, second = sorted((one, other))
        async with session_scope(sessions) as session:
            session.add(CannotLink(first_id=first, second_id=second))
            session.add(ProfileRejection(speaker_id=third, profile_id=profile_id))
        for voice in (other, third):
            answer = await client.get(f"{SPEAKERS}/{voice}/suggestions")
            assert answer.json()["data"] == []

    async def test_of_a_stranger(self, client, stranger, sessions, me):
        _, [one] = await add_file(sessions, me, axis(0))
        answer = await stranger.get(f"{SPEAKERS}/{one}/suggestions")
        assert error_type(answer) == (404, "not_found")


async def collected(client, *profile_ids) -> str:
    answer = await client.post(COLLECTIONS, json={"name": "Board"})
    assert answer.status_code == 201, answer.text
    collection_id = answer.json()["data"]["id"]
    body = {"profile_ids": [str(one) for one in profile_ids]}
    answer = await client.post(f"{COLLECTIONS}/{collection_id}/profiles", json=body)
    assert answer.status_code == 200, answer.text
    return collection_id


class TestCollections:
    async def test_profiles_in_and_out(self, client, sessions):
        ada, bert = await made(client, "Ada"), await made(client, "Bert")
        collection_id = await collected(client, ada, bert)
        path = f"{COLLECTIONS}/{collection_id}"
        again = await client.post(f"{path}/profiles", json={"profile_ids": [ada, ada]})
        assert again.json()["data"] == {"changed": 0, "profile_count": 2}
        page = (await client.get(f"{path}/profiles")).json()["data"]
        assert [item["name"] for item in page["items"]] == ["Ada", "Bert"]
        taken = await client.post(f"{path}/profiles/remove", json={"profile_ids": [ada]})
        assert taken.json()["data"] == {"changed": 1, "profile_count": 1}
        assert await listed(client, collection_id=collection_id) == ["Bert"]
        await client.delete(f"{PROFILES}/{bert}")
        assert (await client.get(path)).json()["data"]["profile_count"] == 0
        async with session_scope(sessions) as session:
            assert (await session.scalars(select(SpeakerCollectionMember))).all() == []

    async def test_changed_and_deleted(self, client):
        collection_id = await collected(client, await made(client))
        path = f"{COLLECTIONS}/{collection_id}"
        changed = await client.put(path, json={"name": "Former board", "description": "Gone."})
        assert changed.json()["data"]["name"] == "Former board"
        assert [c["id"] for c in (await client.get(COLLECTIONS)).json()["data"]["items"]] == [
            collection_id
        ]
        assert (await client.delete(path)).status_code == 204
        assert error_type(await client.get(path)) == (404, "not_found")
        assert await listed(client) == ["Ada"]

    async def test_names(self, client):
        await client.post(COLLECTIONS, json={"name": "Board"})
        again = await client.post(COLLECTIONS, json={"name": "Board"})
        assert error_type(again) == (409, "name_taken")
        for name in HOSTILE:
            answer = await client.post(COLLECTIONS, json={"name": name})
            assert error_type(answer) == (422, "validation_error")

    async def test_of_others(self, client, stranger):
        collection_id = await collected(client, await made(client))
        theirs = await made(stranger)
        path = f"{COLLECTIONS}/{collection_id}"
        foreign = await client.post(f"{path}/profiles", json={"profile_ids": [theirs]})
        assert error_type(foreign) == (404, "not_found")
        for answer in (
            await stranger.get(path),
            await stranger.get(f"{path}/profiles"),
            await stranger.post(f"{path}/profiles", json={"profile_ids": [theirs]}),
            await stranger.get(PROFILES, params={"collection_id": collection_id}),
            await stranger.delete(path),
        ):
            assert error_type(answer) == (404, "not_found")


async def test_whoever_waits_too_long_for_others_is_told_to_come_again(client, sessions):
    profile_id = await made(client)
    async with session_scope(sessions) as session:
        await speakers.serialise(session, await user_id(client))
        answer = await client.delete(f"{PROFILES}/{profile_id}")
    assert error_type(answer) == (503, "server_busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await client.delete(f"{PROFILES}/{profile_id}")).status_code == 204
