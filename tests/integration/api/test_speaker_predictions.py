"""What language models predict of speakers, beside what voices sound like: it names nobody."""

import uuid

import pytest

from cluster.settings import VoiceSettings
from db.engine import session_scope
from db.models import SpeakerCluster
from pipelines.speakers import accepting
from tests.fixtures.files import user_id
from tests.fixtures.summaries import predicted
from tests.fixtures.voices import (
    MODEL,
    listed,
    match,
    match_profile,
    named,
    recorded,
    set_voice,
    verify,
    voice,
)

PROFILES = "/api/speaker-profiles"


async def suggested(client, speaker_id: str) -> list[dict]:
    answer = await client.get(f"{PROFILES}/speakers/{speaker_id}/suggestions")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_one_that_nothing_sounds_like(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    await predicted(sessions, uuid.UUID(first), "Grace")
    told = await voice(client, first)
    [one] = told["suggestions"]
    assert (one["name"], one["source"], one["confidence"]) == ("Grace", "llm", 0.9)
    assert (one["similarity"], one["level"], one["profile_id"]) == (None, None, None)
    assert one["reason"] == "“This is Grace.” (01:05)"
    # Of the voice itself nothing is said by that.
    assert (told["confidence"], told["level"], told["display_name"]) == (None, None, None)
    assert told["computed_status"] == "suggested"
    assert told["status_text"] == "Suggested by what is said - review needed"
    assert await suggested(client, first) == told["suggestions"]
    # A threshold is of cosines: this has none.
    answer = await client.get(f"{PROFILES}/speakers/{first}/suggestions?threshold=0.99")
    assert len(answer.json()["data"]) == 1


async def test_one_without_a_voiceprint(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    await set_voice(sessions, first, embedding=None, embedding_model=None)
    await predicted(sessions, uuid.UUID(first), "Grace")
    assert [one["name"] for one in await suggested(client, first)] == ["Grace"]


async def test_one_that_it_sounds_like_too(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    _, [second, _] = await recorded(sessions, client)
    await named(client, second, "Grace")
    await match(sessions, first, second, 0.8)
    await predicted(sessions, uuid.UUID(first), "GRACE")
    told = await voice(client, first)
    [one] = told["suggestions"]
    assert (one["source"], one["level"]) == ("voice", "high")
    assert one["similarity"] == pytest.approx(0.8)
    assert one["confidence"] == 0.9
    assert one["reason"].startswith("Similar to Grace in")
    assert one["reason"].endswith("and by what is said: “This is GRACE.” (01:05)")
    assert (told["confidence"], told["computed_status"]) == (one["similarity"], "suggested")


async def test_somebody_known_can_be_accepted_by_their_profile(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    _, [second, _] = await recorded(sessions, client)
    profile = (await named(client, second, "Grace"))["profile"]["id"]
    await predicted(sessions, uuid.UUID(first), "grace")
    [one] = await suggested(client, first)
    assert (one["profile_id"], one["source"]) == (profile, "llm")
    assert (await verify(client, first, "accept", profile_id=profile)).status_code == 200
    told = await voice(client, first)
    assert (told["display_name"], told["verified"], told["suggestions"]) == ("Grace", True, [])


async def test_who_was_ruled_out_stays_out(client, sessions):
    _, [first, other] = await recorded(sessions, client)
    _, [second, _] = await recorded(sessions, client)
    profile = (await named(client, second, "Grace"))["profile"]["id"]
    for speaker_id in (first, other):
        await predicted(sessions, uuid.UUID(speaker_id), "Grace")
    assert (await verify(client, first, "reject", profile_id=profile)).status_code == 200
    assert (await voice(client, first))["suggestions"] == []
    assert (await voice(client, first))["computed_status"] == "unverified"
    assert len((await voice(client, other))["suggestions"]) == 1


@pytest.mark.parametrize("status", ["verified", "suggested", "unverified"])
async def test_the_filter_by_status_agrees_with_the_computed_one(client, sessions, status):
    _, [known, rejected] = await recorded(sessions, client)
    _, [by_words, label_like] = await recorded(sessions, client)
    _, [apart, nobody] = await recorded(sessions, client)
    _, [renamed, called] = await recorded(sessions, client)
    ada = (await named(client, known, "Ada"))["profile"]["id"]
    for speaker_id in (rejected, by_words, apart, renamed):
        await predicted(sessions, uuid.UUID(speaker_id), "ADA")
    await predicted(sessions, uuid.UUID(label_like), "SPEAKER_07")
    await predicted(sessions, uuid.UUID(called), "Grace")
    await named(client, called, "Grace")
    assert (await verify(client, rejected, "reject", profile_id=ada)).status_code == 200
    await match(sessions, apart, known, 0.9)
    assert (await verify(client, apart, "reject", speaker_id=known)).status_code == 200
    everybody = await listed(client)
    told = {item["id"]: item["computed_status"] for item in everybody}
    assert told == {
        known: "verified",
        called: "verified",
        by_words: "suggested",
        renamed: "suggested",
        rejected: "unverified",
        label_like: "unverified",
        apart: "unverified",
        nobody: "unverified",
    }
    expected = [item["id"] for item in everybody if item["computed_status"] == status]
    assert [item["id"] for item in await listed(client, status=status)] == expected


async def test_nobody_is_named_by_it_without_being_asked(client, sessions):
    """Also where voices are: a prediction makes no voice more alike, and no name of its own."""
    file_id, [first, second] = await recorded(sessions, client)
    _, [known, _] = await recorded(sessions, client)
    profile = (await named(client, known, "Grace"))["profile"]["id"]
    await predicted(sessions, uuid.UUID(first), "Grace", confidence=1.0)
    await match_profile(sessions, first, profile, 0.6)
    await predicted(sessions, uuid.UUID(second), "Grace", confidence=1.0)
    settings = VoiceSettings(auto_accept=True, high=0.75, medium=0.5)
    async with session_scope(sessions) as session:
        me = await user_id(client)
        await accepting.accept(session, me, [MODEL], settings, file_id=uuid.UUID(file_id))
    for speaker_id in (first, second):
        assert (await voice(client, speaker_id))["display_name"] is None
    # Where the voice alone is enough, it is.
    async with session_scope(sessions) as session:
        from sqlalchemy import update

        from db.models import ProfileMatch

        await session.execute(update(ProfileMatch).values(similarity=0.9))
    async with session_scope(sessions) as session:
        await accepting.accept(session, me, [MODEL], settings, file_id=uuid.UUID(file_id))
    assert (await voice(client, first))["name_source"] == "voice"


async def test_clusters_are_named_by_voices_only(client, sessions):
    _, [first, _] = await recorded(sessions, client)
    cluster_id = uuid.uuid4()
    async with session_scope(sessions) as session:
        me = await user_id(client)
        session.add(SpeakerCluster(id=cluster_id, user_id=me, embedding_model=MODEL))
    await set_voice(sessions, first, cluster_id=cluster_id, cluster_similarity=0.9)
    await predicted(sessions, uuid.UUID(first), "Grace")
    answer = await client.get(f"/api/speaker-clusters/{cluster_id}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["suggestion"] is None


async def test_others_see_nothing(client, stranger, sessions):
    _, [first, _] = await recorded(sessions, client)
    await predicted(sessions, uuid.UUID(first), "Grace")
    _, [theirs, _] = await recorded(sessions, stranger)
    assert await suggested(stranger, theirs) == []
    answer = await stranger.get(f"{PROFILES}/speakers/{first}/suggestions")
    assert answer.status_code == 404
