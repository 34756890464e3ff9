"""Who voices are across files: verified, propagated, undone; where else they speak."""

import uuid

import pytest
from sqlalchemy import select

from cluster.settings import VoiceSettings
from db.engine import session_scope
from db.models import CannotLink, NameSource, ProfileRejection, TaskEvent
from tests.fixtures.files import user_id
from tests.fixtures.transcripts import read
from tests.fixtures.voices import (
    SPEAKERS,
    changes,
    consistent,
    match,
    match_profile,
    name,
    named,
    recorded,
    set_voice,
    undo,
    verify,
    voice,
)

PROFILES = "/api/speaker-profiles/profiles"


async def appearances(client, speaker_id: str, **params) -> list[dict]:
    """Where else it speaks."""
    answer = await client.get(f"{SPEAKERS}/{speaker_id}/cross-media", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["data"]["items"]


async def preview(client, speaker_id: str, **params) -> list[dict]:
    """Whom its name would be given to."""
    answer = await client.get(f"{SPEAKERS}/{speaker_id}/propagation", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["items"]


async def propagate(client, speaker_id: str, ids: list[str], **more) -> dict:
    """Give its name to these."""
    body = {"speaker_ids": ids, **more}
    answer = await client.post(f"{SPEAKERS}/{speaker_id}/propagation", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


class TestVerification:
    async def test_a_person_is_accepted(self, client, sessions):
        file_id, [first, second] = await recorded(sessions, client)
        person = (await named(client, second, "Ada"))["profile"]
        _, tag = await read(client, file_id)
        answer = await verify(client, first, "accept", profile_id=person["id"])
        told = answer.json()["data"]
        assert told["profile"] == person
        assert (told["display_name"], told["verified"]) == ("Ada", True)
        assert (await read(client, file_id))[1] != tag
        assert (await changes(client))[0]["action"] == "accepted"

    async def test_a_voice_without_a_profile_is_accepted_and_both_get_one(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [other, _] = await recorded(sessions, client)
        await name(client, other, "Bob", profile_action="none")
        told = (await verify(client, first, "accept", speaker_id=other)).json()["data"]
        assert told["profile"]["name"] == "Bob"
        assert (await voice(client, other))["profile"] == told["profile"]
        await consistent(sessions, await user_id(client))

    async def test_a_voice_with_a_profile_is_accepted(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [other, _] = await recorded(sessions, client)
        person = (await named(client, other, "Bob"))["profile"]
        told = (await verify(client, first, "accept", speaker_id=other)).json()["data"]
        assert told["profile"] == person

    async def test_a_new_person_is_made(self, client, sessions):
        _, [first, second] = await recorded(sessions, client)
        made = await verify(client, first, "create_profile", profile_name="Ada")
        assert made.json()["data"]["profile"]["name"] == "Ada"
        taken = await verify(client, second, "create_profile", profile_name="ADA")
        assert taken.json()["error_type"] == "name_taken"

    async def test_a_name_by_voice_is_accepted_or_rejected(self, client, sessions):
        _, [first, second] = await recorded(sessions, client)
        _, [third, _] = await recorded(sessions, client)
        person = (await named(client, third, "Ada"))["profile"]["id"]
        for one in (first, second):
            found = {"profile_id": uuid.UUID(person), "name_source": NameSource.voice}
            await set_voice(sessions, one, display_name="Ada", **found)
        accepted = (await verify(client, first, "accept")).json()["data"]
        assert (accepted["verified"], accepted["name_source"]) == (True, "person")
        rejected = (await verify(client, second, "reject")).json()["data"]
        assert rejected["display_name"] is None
        assert rejected["profile"] is None
        async with session_scope(sessions) as session:
            [row] = (await session.scalars(select(ProfileRejection))).all()
        assert (str(row.speaker_id), str(row.profile_id)) == (second, person)
        await consistent(sessions, await user_id(client))

    async def test_whom_one_rejects_is_never_suggested_again(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [other, _] = await recorded(sessions, client)
        await match(sessions, first, other, 0.9)
        person = (await named(client, other, "Ada"))["profile"]["id"]
        await match_profile(sessions, first, person, 0.95)
        assert (await voice(client, first))["total_suggestions"] == 1
        told = (await verify(client, first, "reject", profile_id=person)).json()["data"]
        assert told["suggestions"] == []
        assert told["computed_status"] == "unverified"
        async with session_scope(sessions) as session:
            [pair] = (await session.scalars(select(CannotLink))).all()
        assert {str(pair.first_id), str(pair.second_id)} == {first, other}
        assert await preview(client, other) == []
        assert await appearances(client, other) == []

    async def test_a_voice_is_rejected(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [other, _] = await recorded(sessions, client)
        await match(sessions, first, other, 0.9)
        assert len(await appearances(client, first)) == 1
        assert (await verify(client, first, "reject", speaker_id=other)).status_code == 200
        await named(client, other, "Ada")
        assert (await voice(client, first))["suggestions"] == []
        assert await appearances(client, first) == []

    async def test_accepting_takes_a_rejection_back(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [other, _] = await recorded(sessions, client)
        person = (await named(client, other, "Ada"))["profile"]["id"]
        await verify(client, first, "reject", speaker_id=other)
        assert (await verify(client, first, "accept", profile_id=person)).status_code == 200
        async with session_scope(sessions) as session:
            assert (await session.scalars(select(ProfileRejection))).all() == []
            assert (await session.scalars(select(CannotLink))).all() == []

    async def test_what_cannot_be_said(self, client, sessions):
        _, [first, second] = await recorded(sessions, client)
        for action, body, status in (
            ("accept", {}, 409),
            ("reject", {}, 409),
            ("accept", {"speaker_id": second}, 409),
            ("accept", {"speaker_id": first}, 409),
            ("reject", {"speaker_id": first}, 409),
            ("create_profile", {}, 422),
            ("accept", {"profile_name": "Ada"}, 422),
            ("create_profile", {"profile_name": "\x00"}, 422),
            ("create_profile", {"profile_name": "Ada", "speaker_id": second}, 422),
            ("accept", {"profile_id": str(uuid.uuid4()), "speaker_id": second}, 422),
            ("accept", {"profile_id": str(uuid.uuid4())}, 404),
            ("reject", {"profile_id": str(uuid.uuid4())}, 404),
            ("reject", {"speaker_id": str(uuid.uuid4())}, 404),
            ("dance", {}, 422),
        ):
            answer = await verify(client, first, action, **body)
            assert answer.status_code == status, (action, body, answer.text)
        assert (await voice(client, first))["display_name"] is None

    async def test_clients_are_told(self, client, sessions):
        file_id, [first, _] = await recorded(sessions, client)
        await named(client, first, "Ada")
        async with session_scope(sessions) as session:
            [event] = (await session.scalars(select(TaskEvent))).all()
        assert event.type == "speakers_updated"
        assert event.payload["file_ids"] == [file_id]
        assert event.payload["change_id"] == (await changes(client))[0]["id"]


class TestAppearances:
    async def test_the_same_person_comes_first(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [alike, _] = await recorded(sessions, client)
        _, [same, _] = await recorded(sessions, client)
        _, [weak, other] = await recorded(sessions, client)
        await match(sessions, first, alike, 0.9)
        await match(sessions, first, same, 0.6)
        await match(sessions, first, weak, 0.2)
        await named(client, first, "Ada")
        await named(client, same, "Ada")
        await named(client, other, "Ada")
        found = await appearances(client, first)
        assert [(one["speaker_id"], one["same_person"], one["level"]) for one in found] == [
            (same, True, "medium"),
            (other, True, None),
            (alike, False, "high"),
        ]
        assert found[0]["similarity"] == pytest.approx(0.6)
        assert (await voice(client, first))["cross_video_matches"] == 3
        assert len(await appearances(client, first, page=2, page_size=2)) == 1

    async def test_of_nobody_without_a_voiceprint(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        await set_voice(sessions, first, embedding=None, embedding_model=None)
        assert await appearances(client, first) == []


class TestPropagation:
    async def test_shown_then_given_then_taken_back(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        two, [second, third] = await recorded(sessions, client)
        _, [fourth, _] = await recorded(sessions, client)
        await match(sessions, first, second, 0.9)
        await match(sessions, first, third, 0.6)
        await match(sessions, first, fourth, 0.7)
        await named(client, first, "Ada")
        shown = await preview(client, first)
        assert [row["speaker_id"] for row in shown] == [second, fourth, third]
        assert [row["level"] for row in shown] == ["high", "medium", "medium"]
        _, tag = await read(client, two)
        done = await propagate(client, first, [second, third])
        assert set(done["named"]) == {second, third}
        assert done["skipped"] == []
        assert (await voice(client, second))["verified"]
        assert (await voice(client, fourth))["display_name"] is None
        assert (await read(client, two))[1] != tag
        [change, _] = await changes(client)
        assert (change["id"], change["action"]) == (done["change_id"], "propagated")
        assert change["total_speakers"] == 2
        undone = (await undo(client, change["id"])).json()["data"]
        assert undone == {"change_id": change["id"], "restored": 2, "changed_since": []}
        assert (await voice(client, second))["display_name"] is None
        assert (await voice(client, first))["display_name"] == "Ada"
        await consistent(sessions, await user_id(client))

    async def test_a_name_that_is_still_to_be_given(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [second, third] = await recorded(sessions, client)
        await match(sessions, first, second, 0.9)
        assert len(await preview(client, first, display_name="Ada")) == 1
        done = await propagate(client, first, [second], display_name="Ada")
        assert (await voice(client, first))["display_name"] == "Ada"
        person = done["profile"]["id"]
        await match_profile(sessions, third, person, 0.7)
        assert [row["speaker_id"] for row in await preview(client, first)] == [third]
        [change] = await changes(client)
        assert change["total_speakers"] == 2

    async def test_who_is_skipped_and_why(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [taken, apart] = await recorded(sessions, client)
        _, [rejected, unlike] = await recorded(sessions, client)
        for one in (taken, apart, rejected):
            await match(sessions, first, one, 0.9)
        await verify(client, apart, "reject", speaker_id=first)
        person = (await named(client, first, "Ada"))["profile"]["id"]
        await verify(client, rejected, "reject", profile_id=person)
        await named(client, taken, "Bob")
        gone = str(uuid.uuid4())
        done = await propagate(client, first, [taken, apart, rejected, unlike, gone, first])
        assert done["named"] == []
        assert done["change_id"] is None
        assert {row["speaker_id"]: row["reason"] for row in done["skipped"]} == {
            taken: "named",
            apart: "ruled_out",
            rejected: "ruled_out",
            unlike: "not_alike",
            gone: "gone",
        }

    async def test_nobodys_name_is_not_given(self, client, sessions):
        _, [first, second] = await recorded(sessions, client)
        assert (await client.get(f"{SPEAKERS}/{first}/propagation")).status_code == 409
        url = f"{SPEAKERS}/{first}/propagation"
        assert (await client.post(url, json={"speaker_ids": [second]})).status_code == 409
        assert (await client.post(url, json={"speaker_ids": []})).status_code == 422
        assert (await client.get(url, params={"display_name": "\x00"})).status_code == 422
        assert (await voice(client, first))["display_name"] is None

    async def test_voices_of_others_are_gone(self, client, sessions, stranger):
        _, [first, _] = await recorded(sessions, client)
        _, [theirs, _] = await recorded(sessions, stranger)
        await match(sessions, first, theirs, 0.9)
        await named(client, first, "Ada")
        assert await preview(client, first) == []
        done = await propagate(client, first, [theirs])
        assert done["skipped"] == [{"speaker_id": theirs, "reason": "gone"}]
        assert (await voice(stranger, theirs))["display_name"] is None


class TestLimits:
    @pytest.fixture
    def voice_settings(self) -> VoiceSettings:
        return VoiceSettings(max_propagated=2)

    async def test_not_too_many_at_a_time(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        await named(client, first, "Ada")
        url = f"{SPEAKERS}/{first}/propagation"
        ids = [str(uuid.uuid4()) for _ in range(3)]
        assert (await client.post(url, json={"speaker_ids": ids})).status_code == 422
        assert (await client.post(url, json={"speaker_ids": ids[:2]})).status_code == 200
        too_many = {"speaker_ids": [str(uuid.uuid4()) for _ in range(1001)]}
        assert (await client.post(url, json=too_many)).status_code == 422


class TestUndo:
    async def test_a_change_is_undone_once(self, client, sessions):
        file_id, [first, _] = await recorded(sessions, client)
        await named(client, first, "Ada")
        [change] = await changes(client)
        assert change["speakers"][0]["before"]["display_name"] is None
        assert change["speakers"][0]["after"]["display_name"] == "Ada"
        _, tag = await read(client, file_id)
        assert (await undo(client, change["id"])).status_code == 200
        assert (await voice(client, first))["display_name"] is None
        assert (await read(client, file_id))[1] != tag
        again = await undo(client, change["id"])
        assert again.status_code == 409
        [undoing, undone] = await changes(client)
        assert undone["undone"]
        assert undoing["action"] == "undone"
        assert (await undo(client, undoing["id"])).status_code == 200
        assert (await voice(client, first))["display_name"] == "Ada"

    async def test_whom_somebody_changed_since_stays(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        _, [second, third] = await recorded(sessions, client)
        await match(sessions, first, second, 0.9)
        await match(sessions, first, third, 0.9)
        done = await propagate(client, first, [second, third], display_name="Ada")
        await named(client, second, "Bob")
        assert (await client.delete(f"{SPEAKERS}/{third}")).status_code == 204
        told = (await undo(client, done["change_id"])).json()["data"]
        assert told["restored"] == 1
        assert set(told["changed_since"]) == {second, third}
        assert (await voice(client, first))["display_name"] is None
        assert (await voice(client, second))["display_name"] == "Bob"

    async def test_a_person_who_was_renamed_since_is_no_obstacle(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        person = (await named(client, first, "Ada"))["profile"]["id"]
        await named(client, first, "Bob")
        answer = await client.put(f"{PROFILES}/{person}", json={"name": "Ada Lovelace"})
        assert answer.status_code == 200, answer.text
        [latest, earliest] = await changes(client)
        assert (await undo(client, latest["id"])).status_code == 200
        assert (await voice(client, first))["display_name"] == "Ada Lovelace"
        assert (await undo(client, earliest["id"])).status_code == 200
        assert (await voice(client, first))["display_name"] is None
        await consistent(sessions, await user_id(client))

    async def test_nobody_is_made_who_is_gone(self, client, sessions):
        _, [first, _] = await recorded(sessions, client)
        person = (await named(client, first, "Ada"))["profile"]["id"]
        await name(client, first, None)
        assert (await client.delete(f"{PROFILES}/{person}")).status_code in {200, 204}
        [latest, _] = await changes(client)
        assert (await undo(client, latest["id"])).status_code == 409
        assert (await voice(client, first))["display_name"] is None

    async def test_an_undone_rejection_is_lifted(self, client, sessions):
        _, [first, second] = await recorded(sessions, client)
        person = (await named(client, first, "Ada"))["profile"]["id"]
        await named(client, second, "Ada")
        await verify(client, second, "reject", profile_id=person)
        [latest, *_] = await changes(client)
        assert latest["action"] == "rejected"
        assert (await undo(client, latest["id"])).status_code == 200
        async with session_scope(sessions) as session:
            assert (await session.scalars(select(ProfileRejection))).all() == []
        assert (await voice(client, second))["display_name"] == "Ada"

    async def test_what_is_not_there(self, client):
        assert (await undo(client, str(uuid.uuid4()))).status_code == 404
        assert (await undo(client, "1")).status_code == 422
