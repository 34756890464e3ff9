"""Voices over HTTP: listed, read, named, added, deleted; what follows from a name."""

import uuid

import pytest
from sqlalchemy import event, func, select

from cluster.settings import VoiceSettings
from db.engine import session_scope
from db.models import NameSource, OutboxEntry, StageResult
from db.vectors.port import Point
from pipelines.spaces import voice_space
from tests.fixtures.files import stored_files, user_id
from tests.fixtures.transcripts import read
from tests.fixtures.voices import (
    SPEAKERS,
    changes,
    consistent,
    direction,
    listed,
    match,
    match_profile,
    name,
    named,
    recorded,
    set_voice,
    verify,
    voice,
    voices,
)

FILES = "/api/files"


async def subjects(sessions) -> set[str]:
    """What the vector store is to be told."""
    async with session_scope(sessions) as session:
        return set(await session.scalars(select(OutboxEntry.subject)))


async def test_the_voices_of_a_file_are_listed_by_label(client, sessions):
    file_id, ids = await recorded(sessions, client)
    await recorded(sessions, client)
    answer = await client.get(SPEAKERS, params={"file_id": file_id})
    assert answer.headers["cache-control"] == "no-store"
    page = answer.json()["data"]
    assert page["total"] == 2
    assert [item["id"] for item in page["items"]] == ids
    first = page["items"][0]
    assert first["label"] == first["resolved_display_name"] == "SPEAKER_00"
    assert first["file_title"] == "0000.flac"
    assert first["has_voiceprint"]
    assert first["computed_status"] == "unverified"
    assert first["status_text"] == "Needs identification"
    assert first["confidence"] is None
    assert first["suggestions"] == []


async def test_newest_files_come_first(client, sessions):
    _, old = await recorded(sessions, client)
    _, new = await recorded(sessions, client)
    assert [item["id"] for item in await listed(client)] == [*new, *old]


async def test_naming_verifies_and_makes_the_person(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    told = await named(client, first, "  Ada ")
    assert told["display_name"] == told["resolved_display_name"] == "Ada"
    assert told["profile"]["name"] == "Ada"
    assert told["verified"]
    assert told["name_source"] == "person"
    assert told["status_text"] == "Verified as Ada"
    assert told["computed_status"] == "verified"
    again = await named(client, second, "ADA")
    assert again["profile"] == told["profile"]
    assert again["display_name"] == "Ada"
    assert f"profile/{told['profile']['id']}" in await subjects(sessions)
    await consistent(sessions, await user_id(client))


async def test_a_name_of_one_file_only(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    told = (await name(client, first, "The host", profile_action="none")).json()["data"]
    assert told["display_name"] == "The host"
    assert told["profile"] is None
    assert told["verified"]


async def test_a_new_person_must_not_be_there_already(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    answer = await name(client, first, "Ada", profile_action="create_new_profile")
    assert answer.status_code == 200, answer.text
    taken = await name(client, second, "ada", profile_action="create_new_profile")
    assert taken.status_code == 409
    assert taken.json()["error_type"] == "name_taken"
    assert (await voice(client, second))["display_name"] is None


async def test_renaming_the_person_renames_all_her_voices(client, sessions):
    one, [first, _] = await recorded(sessions, client)
    other, [second, _] = await recorded(sessions, client)
    await named(client, first, "Ada")
    await named(client, second, "Ada")
    tags = [(await read(client, file))[1] for file in (one, other)]
    answer = await name(client, first, "Ada Lovelace", profile_action="update_profile")
    assert answer.json()["data"]["display_name"] == "Ada Lovelace"
    assert (await voice(client, second))["display_name"] == "Ada Lovelace"
    assert [(await read(client, file))[1] for file in (one, other)] != tags
    await consistent(sessions, await user_id(client))


async def test_nobodys_person_cannot_be_renamed(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    answer = await name(client, first, "Ada", profile_action="update_profile")
    assert answer.status_code == 409
    assert "profile_action" in answer.json()["detail"]


async def test_a_name_is_taken_back(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    await named(client, first, "Ada")
    told = (await name(client, first, None)).json()["data"]
    assert told["display_name"] is None
    assert told["profile"] is None
    assert not told["verified"]
    assert told["name_source"] is None


async def test_a_name_by_voice_is_verified(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    person = (await named(client, second, "Ada"))["profile"]
    by_voice = {"profile_id": uuid.UUID(person["id"]), "name_source": NameSource.voice}
    await set_voice(sessions, first, display_name="Ada", **by_voice)
    told = await voice(client, first)
    assert told["computed_status"] == "suggested"
    answer = await client.put(f"{SPEAKERS}/{first}", json={"verified": True})
    assert answer.json()["data"]["computed_status"] == "verified"
    assert answer.json()["data"]["name_source"] == "person"
    answer = await client.put(f"{SPEAKERS}/{first}", json={"verified": False})
    assert not answer.json()["data"]["verified"]
    assert answer.json()["data"]["display_name"] == "Ada"


async def test_who_has_no_name_is_not_verified(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    answer = await client.put(f"{SPEAKERS}/{first}", json={"verified": True})
    assert answer.status_code == 409
    answer = await client.put(f"{SPEAKERS}/{first}", json={"verified": False})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"display_name": ""},
        {"display_name": "   "},
        {"display_name": "A\x00da"},
        {"display_name": "A\nda"},
        {"display_name": "\u202eadA"},
        {"display_name": "x" * 256},
        {"display_name": "Ada", "verified": False},
        {"display_name": None, "verified": True},
        {"verified": True, "profile_action": "none"},
        {"display_name": "Ada", "profile_action": "something"},
    ],
)
async def test_what_is_no_change(client, sessions, body):
    _, [first, _] = await recorded(sessions, client)
    answer = await client.put(f"{SPEAKERS}/{first}", json=body)
    assert answer.status_code == 422, answer.text
    assert (await voice(client, first))["display_name"] is None


async def test_a_name_of_255_characters(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    assert (await named(client, first, "é" * 255))["display_name"] == "é" * 255


async def test_the_same_name_again_changes_nothing(client, sessions):
    file_id, [first, _] = await recorded(sessions, client)
    await named(client, first, "Ada")
    _, tag = await read(client, file_id)
    await named(client, first, "Ada")
    assert (await read(client, file_id))[1] == tag
    assert len(await changes(client)) == 1


async def test_a_name_reaches_exports_subtitles_analytics_and_filters(client, sessions):
    file_id, [first, _] = await recorded(sessions, client)
    _, before = await read(client, file_id)
    subtitles = await client.get(f"{FILES}/streaming/{file_id}/subtitles")
    analytics = await client.get(f"{FILES}/{file_id}/analytics")
    assert "Grace" not in subtitles.text + analytics.text
    await named(client, first, "Grace")
    transcript, after = await read(client, file_id)
    assert after != before
    assert transcript["speakers"][0]["display_name"] == "Grace"
    renewed = await client.get(f"{FILES}/streaming/{file_id}/subtitles")
    assert "Grace" in renewed.text
    for kind in ("txt", "srt", "vtt", "json"):
        exported = await client.get(f"{FILES}/{file_id}/exports/{kind}")
        assert "Grace" in exported.text
    figures = (await client.get(f"{FILES}/{file_id}/analytics")).json()["data"]
    assert figures["transcript_version"] == transcript["version"]
    assert "Grace" in str(figures["speakers"])
    found = await client.get(FILES, params={"speaker": "grace"})
    assert [item["id"] for item in found.json()["data"]["items"]] == [file_id]
    history = (await client.get(f"{FILES}/{file_id}/transcript/edits")).json()["data"]["items"]
    assert history[0]["action"] == "speakers_named"


async def test_voices_that_sound_alike_are_suggested_at_once_in_both_directions(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    _, [second, _] = await recorded(sessions, client)
    await match(sessions, first, second, 0.8)
    assert (await voice(client, first))["cross_video_matches"] == 1
    await named(client, second, "Ada")
    told = await voice(client, first)
    assert told["computed_status"] == "suggested"
    assert told["confidence"] == pytest.approx(0.8)
    assert told["level"] == "high"
    assert told["total_suggestions"] == 1
    assert told["suggestions"][0]["name"] == "Ada"
    assert told["suggestions"][0]["speaker_id"] == second
    await name(client, second, None)
    assert (await voice(client, first))["suggestions"] == []
    await named(client, first, "Ada")
    assert (await voice(client, second))["suggestions"][0]["name"] == "Ada"


async def world(client, sessions) -> dict[str, str]:
    """Voices of every status, by what they are."""
    _, [ada, liked] = await recorded(sessions, client)
    _, [alike, rejected] = await recorded(sessions, client)
    _, [apart, label_like] = await recorded(sessions, client)
    _, [named_once, weak] = await recorded(sessions, client)
    _, [other_model, by_voice] = await recorded(sessions, client)
    _, [like_by_voice, local] = await recorded(sessions, client)
    _, [like_local, called_like_local] = await recorded(sessions, client)
    person = (await named(client, ada, "Ada"))["profile"]["id"]
    labelled = (await named(client, named_once, "SPEAKER_07"))["profile"]["id"]
    await name(client, local, "Bob", profile_action="none")
    await match_profile(sessions, liked, person, 0.6)
    await match(sessions, alike, ada, 0.7)
    await match_profile(sessions, rejected, person, 0.9)
    await match(sessions, rejected, ada, 0.9)
    assert (await verify(client, rejected, "reject", profile_id=person)).status_code == 200
    await match(sessions, apart, ada, 0.9)
    assert (await verify(client, apart, "reject", speaker_id=ada)).status_code == 200
    await match_profile(sessions, label_like, labelled, 0.9)
    await match(sessions, label_like, named_once, 0.9)
    await match_profile(sessions, weak, person, 0.3)
    await match(sessions, weak, ada, 0.3)
    await match(sessions, other_model, ada, 0.9)
    await set_voice(sessions, other_model, embedding_model="another")
    await set_voice(
        sessions,
        by_voice,
        display_name="Ada",
        profile_id=uuid.UUID(person),
        name_source=NameSource.voice,
    )
    await match(sessions, like_by_voice, by_voice, 0.9)
    await match(sessions, like_local, local, 0.7)
    await match(sessions, called_like_local, local, 0.7)
    bob = (await client.post("/api/speaker-profiles/profiles", json={"name": "BOB"})).json()
    said = await verify(client, called_like_local, "reject", profile_id=bob["data"]["id"])
    assert said.status_code == 200
    return {"ada": ada, "liked": liked, "alike": alike, "by_voice": by_voice, "local": local}


@pytest.mark.parametrize("status", ["verified", "suggested", "unverified"])
async def test_the_filter_by_status_agrees_with_the_computed_one(client, sessions, status):
    await world(client, sessions)
    everybody = await listed(client)
    told = {item["computed_status"] for item in everybody}
    assert told == {"verified", "suggested", "unverified"}
    expected = [item["id"] for item in everybody if item["computed_status"] == status]
    assert [item["id"] for item in await listed(client, status=status)] == expected


async def test_filters(client, sessions):
    made = await world(client, sessions)
    person = (await voice(client, made["ada"]))["profile"]["id"]
    of_person = {item["id"] for item in await listed(client, profile_id=person)}
    assert of_person == {made["ada"], made["by_voice"]}
    assert made["local"] in {item["id"] for item in await listed(client, named="true")}
    assert all(item["display_name"] is None for item in await listed(client, named="false"))
    assert all(item["verified"] for item in await listed(client, verified="true"))
    assert await listed(client, verified="true", status="unverified") == []
    assert await listed(client, cluster_id=str(uuid.uuid4())) == []
    assert {item["id"] for item in await listed(client, search="bo")} == {made["local"]}
    assert await listed(client, search="%") == []
    assert len(await listed(client, search="speaker_01")) == 7
    for bad in ({"search": "\x00"}, {"status": "x"}, {"file_id": "1"}, {"search": "x" * 201}):
        assert (await client.get(SPEAKERS, params=bad)).status_code == 422


async def test_a_list_asks_as_many_questions_for_many_voices_as_for_one(client, sessions):
    asked = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        asked.append(statement)

    await world(client, sessions)
    engine = sessions.kw["bind"].sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await listed(client, page_size=1)
        one = len(asked)
        asked.clear()
        assert len(await listed(client)) == 14
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(asked) <= max(one, 12)


async def test_names_are_counted(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    _, [third, fourth] = await recorded(sessions, client)
    for one in (first, third):
        await named(client, one, "Ada")
    await named(client, second, "Bob")
    await name(client, fourth, "Bob", profile_action="none")
    page = (await client.get(f"{SPEAKERS}/names")).json()["data"]
    assert page["total"] == 3
    assert [(one["name"], one["speakers"], one["files"]) for one in page["items"]] == [
        ("Ada", 2, 2),
        ("Bob", 1, 1),
        ("Bob", 1, 1),
    ]
    rest = (await client.get(f"{SPEAKERS}/names", params={"page": 2, "page_size": 2})).json()
    assert len(rest["data"]["items"]) == 1


async def test_somebody_is_added_to_a_file(client, sessions):
    file_id, _ = await recorded(sessions, client)
    _, tag = await read(client, file_id)
    body = {"media_file_id": file_id, "display_name": "Grace"}
    answer = await client.post(SPEAKERS, json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert made["label"] == "SPEAKER_02"
    assert made["profile"]["name"] == "Grace"
    assert not made["has_voiceprint"]
    transcript, now = await read(client, file_id)
    assert now != tag
    assert transcript["speakers"][2]["display_name"] == "Grace"
    segment = transcript["segments"][0]["id"]
    given = await client.put(
        f"{FILES}/{file_id}/transcript/segments/{segment}",
        json={"speaker_id": made["id"]},
        headers={"If-Match": now},
    )
    assert given.status_code == 200
    await consistent(sessions, await user_id(client))


async def test_nobody_is_added_to_what_has_no_transcript(client, sessions, stranger):
    [file_id] = await stored_files(sessions, client)
    body = {"media_file_id": file_id, "display_name": "Grace"}
    assert (await client.post(SPEAKERS, json=body)).json()["error_type"] == "transcript_not_ready"
    assert (await stranger.post(SPEAKERS, json=body)).status_code == 404
    nowhere = {**body, "media_file_id": str(uuid.uuid4())}
    assert (await client.post(SPEAKERS, json=nowhere)).status_code == 404


class TestLimits:
    @pytest.fixture
    def voice_settings(self) -> VoiceSettings:
        return VoiceSettings(max_speakers_per_file=3)

    async def test_a_file_has_no_more_speakers_than_allowed(self, client, sessions):
        file_id, [first, _] = await recorded(sessions, client)
        body = {"media_file_id": file_id, "display_name": "Grace"}
        assert (await client.post(SPEAKERS, json=body)).status_code == 201
        answer = await client.post(SPEAKERS, json=body)
        assert answer.status_code == 409
        assert "can have 3" in answer.json()["detail"]
        segments = (await read(client, file_id))[0]["segments"]
        split = {"segment_ids": [segments[0]["id"]]}
        assert (await client.post(f"{SPEAKERS}/{first}/split", json=split)).status_code == 409


async def test_a_deleted_speakers_words_are_nobodys(client, sessions):
    file_id, [first, second] = await recorded(sessions, client)
    person = (await named(client, first, "Ada"))["profile"]
    before, tag = await read(client, file_id)
    assert (await client.delete(f"{SPEAKERS}/{first}")).status_code == 204
    after, now = await read(client, file_id)
    assert now != tag
    assert after["version"] == before["version"] + 1
    assert [speaker["id"] for speaker in after["speakers"]] == [second]
    assert [segment["speaker"] for segment in after["segments"]] == [None, None, "SPEAKER_01", None]
    spoken = {word["speaker"] for segment in after["segments"] for word in segment["words"]}
    assert spoken == {None, "SPEAKER_01"}
    assert [turn["speaker"] for turn in after["turns"]] == ["SPEAKER_01"]
    assert [segment["text"] for segment in after["segments"]] == [
        segment["text"] for segment in before["segments"]
    ]
    history = (await client.get(f"{FILES}/{file_id}/transcript/edits")).json()["data"]["items"]
    assert history[0]["action"] == "speaker_removed"
    assert {f"file/{file_id}", f"profile/{person['id']}"} <= await subjects(sessions)
    assert (await client.delete(f"{SPEAKERS}/{first}")).status_code == 404
    await consistent(sessions, await user_id(client))


async def test_an_edit_before_a_deletion_is_not_undone(client, sessions):
    file_id, [first, _] = await recorded(sessions, client)
    assert (await client.delete(f"{SPEAKERS}/{first}")).status_code == 204
    [edit] = (await client.get(f"{FILES}/{file_id}/transcript/edits")).json()["data"]["items"]
    url = f"{FILES}/{file_id}/transcript/edits/{edit['id']}/undo"
    answer = await client.post(url, headers={"If-Match": "*"})
    assert answer.status_code == 409


async def test_a_voiceprint_is_forgotten(client, sessions):
    file_id, [first, _] = await recorded(sessions, client)
    _, [other, _] = await recorded(sessions, client)
    await match(sessions, first, other, 0.9)
    await named(client, first, "Ada")
    async with session_scope(sessions) as session:
        key = {"media_file_id": uuid.UUID(file_id), "fingerprint": "x", "part": 0, "data": b"1"}
        session.add(StageResult(stage="diarize", **key))
    assert (await client.delete(f"{SPEAKERS}/{first}/voiceprint")).status_code == 204
    told = await voice(client, first)
    assert not told["has_voiceprint"]
    assert told["display_name"] == "Ada"
    assert (await voice(client, other))["suggestions"] == []
    async with session_scope(sessions) as session:
        assert await session.scalar(select(func.count()).select_from(StageResult)) == 0
    assert f"file/{file_id}" in await subjects(sessions)


async def test_orphaned_points_are_removed_and_others_stay(client, services, sessions, stranger):
    _, [first, second] = await recorded(sessions, client)
    me, them = await user_id(client), await user_id(stranger)
    space = voice_space("fake", 4)
    await services.vectors.ensure(space)
    mine = [Point(uuid.UUID(one), me, direction(1.0)) for one in (first, second)]
    lost = Point(uuid.uuid4(), me, direction(0.5))
    theirs = Point(uuid.uuid4(), them, direction(0.5))
    await services.vectors.upsert(space.name, [*mine, lost, theirs])
    await set_voice(sessions, second, embedding_model="another")
    answer = await client.post(f"{SPEAKERS}/cleanup-orphaned-embeddings")
    assert answer.json()["data"] == {"checked": 3, "removed": 2}
    left = {point async for point in services.vectors.ids(space.name)}
    assert left == {uuid.UUID(first), theirs.id}
    again = await client.post(f"{SPEAKERS}/cleanup-orphaned-embeddings")
    assert again.json()["data"] == {"checked": 1, "removed": 0}


async def test_speakers_are_their_owners(client, sessions, stranger):
    file_id, [first, second] = await recorded(sessions, client)
    await named(client, second, "Ada")
    [change] = await changes(client)
    segment = (await read(client, file_id))[0]["segments"][0]["id"]
    for method, path, body in (
        ("GET", first, None),
        ("PUT", first, {"display_name": "Eve"}),
        ("DELETE", first, None),
        ("DELETE", f"{first}/voiceprint", None),
        ("POST", f"{first}/verify", {"action": "create_profile", "profile_name": "Eve"}),
        ("POST", f"{first}/merge/{second}", None),
        ("POST", f"{first}/split", {"segment_ids": [segment]}),
        ("GET", f"{first}/cross-media", None),
        ("GET", f"{first}/propagation", None),
        ("POST", f"{first}/propagation", {"speaker_ids": [second]}),
        ("POST", f"changes/{change['id']}/undo", None),
    ):
        answer = await stranger.request(method, f"{SPEAKERS}/{path}", json=body)
        assert answer.status_code == 404, (method, path, answer.text)
    assert await listed(stranger) == []
    assert await changes(stranger) == []
    # What is sent in a body belongs to nobody else either.
    _, [theirs, _] = await recorded(sessions, stranger)
    person = (await voice(client, second))["profile"]["id"]
    for body in ({"speaker_id": second}, {"profile_id": person}):
        for action in ("accept", "reject"):
            answer = await verify(stranger, theirs, action, **body)
            assert answer.status_code == 404, answer.text
    assert len(await voices(sessions, file_id)) == 2
