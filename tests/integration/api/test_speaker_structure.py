"""Speakers of one file merged and split: words, turns, voices and who they are."""

import uuid

import pytest
from sqlalchemy import select, update

from db.engine import session_scope
from db.models import (
    CannotLink,
    ProfileRejection,
    SpeakerMatch,
    StageResult,
    Task,
    TaskKind,
    Transcript,
)
from db.queries import stage_results
from tests.fixtures.files import user_id
from tests.fixtures.transcripts import read
from tests.fixtures.voices import (
    SPEAKERS,
    consistent,
    direction,
    match,
    name,
    named,
    recorded,
    set_voice,
    verify,
    voice,
    voices,
)

SAID = (
    (0, "Good morning to all."),
    (1, "Yes, let us begin."),
    (0, "Fine."),
    (2, "What about me?"),
    (0, "You too."),
)


async def merge(client, source: str, target: str):
    return await client.post(f"{SPEAKERS}/{source}/merge/{target}")


async def split(client, speaker_id: str, segments: list[dict], **more):
    body = {"segment_ids": [segment["id"] for segment in segments], **more}
    return await client.post(f"{SPEAKERS}/{speaker_id}/split", json=body)


async def test_all_of_one_is_the_others(client, sessions):
    file_id, [first, second, third] = await recorded(sessions, client, SAID, 3)
    await set_voice(sessions, second, embedding=direction(0.0), clean_seconds=4.0)
    before, tag = await read(client, file_id)
    answer = await merge(client, second, first)
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    assert told["id"] == first
    assert (told["speech_seconds"], told["clean_seconds"]) == (10.0, 8.0)
    after, now = await read(client, file_id)
    assert now != tag
    assert after["version"] == before["version"] + 1
    labels = [segment["speaker"] for segment in after["segments"]]
    assert labels == ["SPEAKER_00"] * 3 + ["SPEAKER_02", "SPEAKER_00"]
    for segment in after["segments"]:
        assert {word["speaker"] for word in segment["words"]} == {segment["speaker"]}
    assert [w for s in after["segments"] for w in s["text"]] == [
        w for s in before["segments"] for w in s["text"]
    ]
    ends = [(turn["start"], turn["end"], turn["speaker"]) for turn in after["turns"]]
    assert ends[-2:] == [(4.5, 5.9, "SPEAKER_02"), (6.0, 6.9, "SPEAKER_00")]
    [row, _] = await voices(sessions, file_id)
    assert row.embedding == pytest.approx([0.5**0.5, 0.5**0.5, 0, 0], abs=1e-6)
    assert (await client.get(f"{SPEAKERS}/{second}")).status_code == 404
    assert (await voice(client, third))["label"] == "SPEAKER_02"
    history = (await client.get(f"/api/files/{file_id}/transcript/edits")).json()["data"]["items"]
    assert history[0]["action"] == "speakers_merged"
    undone = await client.post(
        f"/api/files/{file_id}/transcript/edits/{history[0]['id']}/undo", headers={"If-Match": "*"}
    )
    assert undone.status_code == 409
    await consistent(sessions, await user_id(client))


async def test_touching_turns_become_one(client, sessions):
    turns = [[0.0, 2.0, "SPEAKER_00"], [1.5, 3.0, "SPEAKER_01"], [3.0, 4.0, "SPEAKER_00"]]
    file_id, [first, second] = await recorded(sessions, client)
    async with session_scope(sessions) as session:
        await session.execute(
            update(Transcript)
            .where(Transcript.media_file_id == uuid.UUID(file_id))
            .values(turns=turns)
        )
    assert (await merge(client, first, second)).status_code == 200
    told = (await read(client, file_id))[0]["turns"]
    assert told == [{"start": 0.0, "end": 4.0, "speaker": "SPEAKER_01"}]


async def test_voiceprints_of_two_models_are_not_averaged(client, sessions):
    file_id, [first, second] = await recorded(sessions, client)
    await set_voice(sessions, second, embedding=direction(0.0), embedding_model="another")
    assert (await merge(client, second, first)).status_code == 200
    [row] = await voices(sessions, file_id)
    assert (row.embedding, row.embedding_model) == (direction(1.0), "fake")


async def test_the_one_voiceprint_there_is_stays(client, sessions):
    file_id, [first, second] = await recorded(sessions, client)
    await set_voice(sessions, first, embedding=None, embedding_model=None, clean_seconds=0.0)
    assert (await merge(client, second, first)).status_code == 200
    [row] = await voices(sessions, file_id)
    assert (row.embedding, row.embedding_model) == (direction(1.0), "fake")


@pytest.mark.parametrize("erased", ["source", "target"])
async def test_a_forgotten_voiceprint_stays_forgotten_in_a_merge(client, sessions, erased):
    file_id, [first, second] = await recorded(sessions, client)
    _, [third, _] = await recorded(sessions, client)
    await match(sessions, first, third, 0.9)
    gone = second if erased == "source" else first
    await set_voice(sessions, gone, embedding=None, embedding_model=None, voiceprint_erased=True)
    file = uuid.UUID(file_id)
    async with session_scope(sessions) as session:
        for stage in ("diarize", "embed", "align"):
            await stage_results.save(session, file, stage, "f", 0, b"voiceprints")
    assert (await merge(client, second, first)).status_code == 200
    [row] = await voices(sessions, file_id)
    assert (row.embedding, row.embedding_model, row.voiceprint_erased) == (None, None, True)
    assert row.clean_seconds == 8.0
    async with session_scope(sessions) as session:
        assert (await session.scalars(select(StageResult.stage))).all() == ["align"]
        assert (await session.scalars(select(SpeakerMatch))).all() == []
    await consistent(sessions, await user_id(client))


async def test_parts_of_a_forgotten_voice_are_not_heard_again(client, sessions):
    file_id, [first, *_] = await recorded(sessions, client, SAID, 3)
    # Of which model it was is still said.
    await set_voice(sessions, first, embedding=None, voiceprint_erased=True)
    segments = (await read(client, file_id))[0]["segments"]
    told = (await split(client, first, [segments[0]])).json()["data"]
    assert told["task_id"] is None
    assert [row.voiceprint_erased for row in await voices(sessions, file_id)] == [
        True,
        False,
        False,
        True,
    ]
    async with session_scope(sessions) as session:
        assert (await session.scalars(select(Task))).all() == []


async def test_the_target_stays_who_it_is(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    await named(client, first, "Ada")
    await named(client, second, "Bob")
    assert (await merge(client, second, first)).json()["data"]["display_name"] == "Ada"


async def test_nobody_becomes_who_the_source_was(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    person = (await named(client, second, "Bob"))["profile"]
    told = (await merge(client, second, first)).json()["data"]
    assert told["profile"] == person
    assert told["verified"]
    await consistent(sessions, await user_id(client))


async def test_what_was_ruled_out_of_either_is_ruled_out(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    _, [third, _] = await recorded(sessions, client)
    await match(sessions, first, third, 0.9)
    person = (await named(client, third, "Ada"))["profile"]["id"]
    await verify(client, second, "reject", speaker_id=third)
    assert (await merge(client, second, first)).status_code == 200
    async with session_scope(sessions) as session:
        rejections = (await session.scalars(select(ProfileRejection))).all()
        apart = (await session.scalars(select(CannotLink))).all()
    assert [(str(r.speaker_id), str(r.profile_id)) for r in rejections] == [(first, person)]
    assert [{str(c.first_id), str(c.second_id)} for c in apart] == [{first, third}]
    assert (await voice(client, first))["suggestions"] == []


async def test_speakers_of_two_files_are_not_merged(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    _, [other, _] = await recorded(sessions, client)
    answer = await merge(client, first, other)
    assert answer.status_code == 409
    assert "profile" in answer.json()["detail"]
    assert (await merge(client, first, first)).status_code == 409
    assert (await merge(client, first, str(uuid.uuid4()))).status_code == 404


async def test_some_segments_are_somebody_elses(client, sessions):
    file_id, [first, *_] = await recorded(sessions, client, SAID, 3)
    before, tag = await read(client, file_id)
    taken = [before["segments"][0], before["segments"][4]]
    answer = await split(client, first, taken, display_name="Grace")
    assert answer.status_code == 201, answer.text
    told = answer.json()["data"]
    made, source = told["speaker"], told["source"]
    assert made["label"] == "SPEAKER_03"
    assert made["display_name"] == "Grace"
    assert not made["has_voiceprint"]
    assert source["has_voiceprint"]
    assert made["speech_seconds"] == pytest.approx(1.9 + 0.9)
    assert source["speech_seconds"] == pytest.approx(0.4)
    after, now = await read(client, file_id)
    assert now != tag
    labels = [segment["speaker"] for segment in after["segments"]]
    assert labels == ["SPEAKER_03", "SPEAKER_01", "SPEAKER_00", "SPEAKER_02", "SPEAKER_03"]
    assert [turn["speaker"] for turn in after["turns"]] == labels
    for segment in after["segments"]:
        assert {word["speaker"] for word in segment["words"]} == {segment["speaker"]}
    async with session_scope(sessions) as session:
        [task] = (await session.scalars(select(Task))).all()
    assert (task.kind, str(task.media_file_id)) == (TaskKind.voiceprints, file_id)
    assert told["task_id"] == str(task.id)
    await consistent(sessions, await user_id(client))


async def test_one_task_for_two_splits(client, sessions):
    file_id, [first, *_] = await recorded(sessions, client, SAID, 3)
    segments = (await read(client, file_id))[0]["segments"]
    assert (await split(client, first, [segments[0]])).json()["data"]["task_id"]
    assert (await split(client, first, [segments[2]])).json()["data"]["task_id"] is None


async def test_a_merge_takes_a_split_back(client, sessions):
    file_id, [first, *_] = await recorded(sessions, client, SAID, 3)
    before, _ = await read(client, file_id)
    made = (await split(client, first, [before["segments"][0]])).json()["data"]["speaker"]["id"]
    assert (await merge(client, made, first)).status_code == 200
    after, _ = await read(client, file_id)
    assert after["segments"] == before["segments"]
    assert after["turns"] == before["turns"]


async def test_what_is_no_split(client, sessions):
    file_id, [first, second, _] = await recorded(sessions, client, SAID, 3)
    segments = (await read(client, file_id))[0]["segments"]
    whole = await split(client, first, [segments[0], segments[2], segments[4]])
    assert whole.status_code == 409
    assert "all segments" in whole.json()["detail"]
    assert (await split(client, first, [])).status_code == 422
    assert (await split(client, first, [segments[0]], display_name="\x00")).status_code == 422
    assert (await split(client, second, [segments[0]])).status_code == 404
    assert (await split(client, first, [{"id": str(uuid.uuid4())}])).status_code == 404
    assert len(await voices(sessions, file_id)) == 3


async def test_matches_of_the_source_go_with_it(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    _, [third, _] = await recorded(sessions, client)
    await match(sessions, second, third, 0.9)
    assert (await merge(client, second, first)).status_code == 200
    async with session_scope(sessions) as session:
        assert (await session.scalars(select(SpeakerMatch))).all() == []


async def test_a_name_of_the_file_only_goes_to_the_target(client, sessions):
    _, [first, second] = await recorded(sessions, client)
    await name(client, second, "The host", profile_action="none")
    told = (await merge(client, second, first)).json()["data"]
    assert (told["display_name"], told["profile"]) == ("The host", None)
