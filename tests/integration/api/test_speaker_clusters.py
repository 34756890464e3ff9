"""Clusters of voices without a name: lists, edits, and whose voices they turn out to be."""

import asyncio
import uuid
from itertools import pairwise

import pytest
from sqlalchemy import select, update

from db.engine import session_scope
from db.models import (
    CannotLink,
    ProfileMatch,
    ProfileRejection,
    Speaker,
    SpeakerCluster,
    SpeakerProfile,
    TaskEvent,
    Transcript,
)
from tests.fixtures.files import user_id as id_of
from tests.fixtures.unnamed import clustered, places, recorded
from tests.integration.api.test_uploads import error_type

CLUSTERS = "/api/speaker-clusters"


@pytest.fixture
async def me(client) -> uuid.UUID:
    return await id_of(client)


@pytest.fixture
async def voices(sessions, me) -> list[uuid.UUID]:
    """Four of one person, two of another."""
    return await recorded(sessions, me, [0, 0, 0, 0, 1, 1])


@pytest.fixture
async def cluster(sessions, me, voices) -> str:
    """Of the first four."""
    return str(await clustered(sessions, me, voices[:4]))


@pytest.fixture
async def other(sessions, me, voices) -> str:
    """Of the last two."""
    return str(await clustered(sessions, me, voices[4:]))


def ids(speakers) -> list[str]:
    return [str(speaker) for speaker in speakers]


async def told(client, path: str, **params):
    answer = await client.get(f"{CLUSTERS}{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def post(client, path: str, body: dict | None = None, status: int = 200):
    answer = await client.post(f"{CLUSTERS}{path}", json=body or {})
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


class TestReading:
    async def test_the_largest_first_with_their_figures(self, client, stranger, cluster, other):
        page = await told(client, "")
        assert [item["id"] for item in page["items"]] == [cluster, other]
        first = page["items"][0]
        assert (first["member_count"], first["file_count"]) == (4, 4)
        assert first["speech_seconds"] == pytest.approx(48.0)
        assert first["mean_similarity"] == pytest.approx(0.9)
        assert first["min_similarity"] == pytest.approx(0.9)
        assert (first["label"], first["kept"], first["suggestion"]) == (None, False, None)
        assert (await told(stranger, ""))["total"] == 0

    async def test_filters(self, client, sessions, me, cluster, other):
        await clustered(sessions, me, [])
        await client.put(f"{CLUSTERS}/{other}", json={"label": "100% Deep"})
        for params, wanted in (
            ({}, [cluster, other]),
            ({"search": "0% dEEp"}, [other]),
            ({"search": "_"}, []),
            ({"search": "%"}, [other]),
            ({"labelled": True}, [other]),
            ({"labelled": False}, [cluster]),
            ({"min_members": 3}, [cluster]),
            ({"min_members": 5}, []),
            ({"page": 2, "page_size": 1}, [other]),
        ):
            page = await told(client, "", **params)
            assert [item["id"] for item in page["items"]] == wanted, params

    @pytest.mark.parametrize("search", ["\x00", "x" * 256, "a\nb", " "])
    async def test_what_cannot_be_searched(self, client, search: str):
        answer = await client.get(CLUSTERS, params={"search": search})
        assert error_type(answer) == (422, "validation_error")

    async def test_members_the_most_typical_first(self, client, sessions, voices, cluster):
        async with session_scope(sessions) as session:
            await session.execute(
                update(Speaker).where(Speaker.id == voices[2]).values(cluster_similarity=0.99)
            )
        page = await told(client, f"/{cluster}/members", page_size=3)
        assert (page["total"], page["total_pages"]) == (4, 2)
        assert page["items"][0]["speaker_id"] == str(voices[2])
        detail = await told(client, f"/{cluster}")
        assert detail["representative_speaker_id"] == str(voices[2])
        assert [one["speaker_id"] for one in detail["members"][:3]] == [
            one["speaker_id"] for one in page["items"]
        ]
        assert detail["members"][0]["filename"].endswith(".flac")

    async def test_who_it_may_be(self, client, sessions, me, voices, cluster):
        async with session_scope(sessions) as session:
            near = SpeakerProfile(id=uuid.uuid4(), user_id=me, name="Ada")
            nearer = SpeakerProfile(id=uuid.uuid4(), user_id=me, name="Bob")
            session.add_all([near, nearer])
            await session.flush()
            session.add(ProfileMatch(speaker_id=voices[0], profile_id=near.id, similarity=0.8))
            session.add(ProfileMatch(speaker_id=voices[1], profile_id=nearer.id, similarity=0.9))
        [item] = (await told(client, ""))["items"]
        assert item["suggestion"]["name"] == "Bob"
        assert item["suggestion"]["profile_id"] == str(nearer.id)
        assert item["suggestion"]["similarity"] == pytest.approx(0.9)

    async def test_counts(self, client, sessions, me, cluster):
        await recorded(sessions, me, [2], display_name="Ada")
        await recorded(sessions, me, [3], clean_seconds=0.5)
        counts = await told(client, "/stats")
        assert counts == {
            "clusters": 1,
            "kept_clusters": 0,
            "voices": 8,
            "named": 1,
            "unnamed": 7,
            "comparable": 6,
            "clustered": 4,
            "task": None,
        }

    async def test_outliers(self, client, sessions, me, voices, cluster):
        [stranger] = await recorded(sessions, me, [5])
        async with session_scope(sessions) as session:
            await session.execute(
                update(Speaker)
                .where(Speaker.id == stranger)
                .values(cluster_id=uuid.UUID(cluster), cluster_similarity=0.2)
            )
        page = await told(client, f"/{cluster}/outliers")
        assert page["total"] == 1
        [found] = page["items"]
        assert (found["speaker_id"], found["oddity"]) == (str(stranger), "below_threshold")
        assert "below 0.75" in found["reason"]
        assert found["similarity_to_others"] < 0.5
        again = await told(client, f"/{cluster}/outliers", page=2)
        assert (again["items"], again["total"]) == ([], 1)

    async def test_voiceprints_of_two_models_are_not_compared(
        self, client, sessions, voices, cluster
    ):
        async with session_scope(sessions) as session:
            await session.execute(
                update(Speaker)
                .where(Speaker.id == voices[0])
                .values(embedding=[1.0, 0.0], embedding_model="another")
            )
        assert (await told(client, f"/{cluster}/outliers"))["total"] == 0


class TestRecluster:
    async def test_a_task_one_at_a_time(self, client, stranger):
        task = await post(client, "/recluster", status=202)
        assert (task["kind"], task["state"], task["media_file_id"]) == (
            "clustering",
            "queued",
            None,
        )
        again = await client.post(f"{CLUSTERS}/recluster")
        assert error_type(again) == (409, "conflict")
        assert task["id"] in again.json()["detail"]
        assert (await told(client, "/stats"))["task"]["id"] == task["id"]
        await post(stranger, "/recluster", status=202)
        cancelled = await client.post(f"/api/tasks/{task['id']}/cancel")
        assert cancelled.json()["data"]["state"] == "cancelled"
        await post(client, "/recluster", status=202)

    async def test_sent_twice_with_a_key_it_is_one(self, client):
        headers = {"Idempotency-Key": "again"}
        one = await client.post(f"{CLUSTERS}/recluster", headers=headers)
        two = await client.post(f"{CLUSTERS}/recluster", headers=headers)
        assert (one.status_code, two.status_code) == (202, 202)
        assert one.json() == two.json()


class TestChanges:
    async def test_a_label_keeps_it(self, client, cluster):
        changed = await client.put(f"{CLUSTERS}/{cluster}", json={"label": " Deep "})
        assert changed.status_code == 200
        assert changed.json()["data"]["label"] == "Deep"
        assert changed.json()["data"]["kept"]
        let = (await client.put(f"{CLUSTERS}/{cluster}", json={"kept": False})).json()["data"]
        assert (let["label"], let["kept"]) == ("Deep", False)

    @pytest.mark.parametrize(
        "body", [{}, {"label": ""}, {"label": " "}, {"label": "a\x00"}, {"label": "x" * 256}]
    )
    async def test_what_is_no_change(self, client, cluster, body):
        answer = await client.put(f"{CLUSTERS}/{cluster}", json=body)
        assert error_type(answer) == (422, "validation_error")

    async def test_deleted_its_voices_are_nowhere(self, client, sessions, voices, cluster, other):
        assert (await client.delete(f"{CLUSTERS}/{cluster}")).status_code == 204
        assert error_type(await client.get(f"{CLUSTERS}/{cluster}")) == (404, "not_found")
        assert await places(sessions, voices) == [None] * 4 + [uuid.UUID(other)] * 2
        async with session_scope(sessions) as session:
            left = select(Speaker.cluster_similarity).where(Speaker.id.in_(voices[:4]))
            assert set(await session.scalars(left)) == {None}

    async def test_clients_are_told(self, client, sessions, cluster):
        await client.put(f"{CLUSTERS}/{cluster}", json={"label": "Deep"})
        async with session_scope(sessions) as session:
            [event] = await session.scalars(select(TaskEvent))
        assert event.type == "speaker_clusters_updated"
        assert event.payload == {"action": "changed", "cluster_ids": [cluster]}

    async def test_merged(self, client, sessions, voices, cluster, other):
        async with session_scope(sessions) as session:
            first, second = sorted((voices[0], voices[4]))
            session.add(CannotLink(first_id=first, second_id=second))
            await session.execute(
                update(SpeakerCluster)
                .where(SpeakerCluster.id == uuid.UUID(cluster))
                .values(label="Deep")
            )
        merged = await post(client, f"/{cluster}/merge/{other}")
        assert (merged["id"], merged["member_count"], merged["kept"]) == (other, 6, True)
        assert merged["label"] == "Deep"
        # Four and two people who are not alike: cosines to the common mean.
        assert 0.3 < merged["min_similarity"] < 0.6
        assert set(await places(sessions, voices)) == {uuid.UUID(other)}
        assert error_type(await client.get(f"{CLUSTERS}/{cluster}")) == (404, "not_found")
        async with session_scope(sessions) as session:
            assert not (await session.scalars(select(CannotLink))).all()

    async def test_with_itself_it_is_not_merged(self, client, cluster):
        answer = await client.post(f"{CLUSTERS}/{cluster}/merge/{cluster}")
        assert error_type(answer) == (409, "conflict")

    async def test_split(self, client, sessions, voices, cluster):
        made = await post(client, f"/{cluster}/split", {"speaker_ids": ids(voices[:1])}, 201)
        assert (made["member_count"], made["kept"], made["label"]) == (1, True, None)
        assert made["mean_similarity"] == pytest.approx(1.0, abs=1e-5)
        left = await told(client, f"/{cluster}")
        assert (left["member_count"], left["kept"]) == (3, True)
        assert await places(sessions, voices[:2]) == [uuid.UUID(made["id"]), uuid.UUID(cluster)]

    async def test_not_all_are_split_off(self, client, voices, cluster):
        body = {"speaker_ids": ids(voices[:4])}
        answer = await client.post(f"{CLUSTERS}/{cluster}/split", json=body)
        assert error_type(answer) == (409, "conflict")

    @pytest.mark.parametrize("verb", ["split", "unassign", "promote"])
    async def test_only_members(self, client, sessions, voices, cluster, other, verb):
        for speaker in (voices[4], uuid.uuid4()):
            body: dict = {"speaker_ids": ids([voices[0], speaker])}
            if verb == "promote":
                body["name"] = "Ada"
            answer = await client.post(f"{CLUSTERS}/{cluster}/{verb}", json=body)
            assert error_type(answer) == (404, "not_found")
        assert (await told(client, f"/{cluster}"))["member_count"] == 4

    @pytest.mark.parametrize("verb", ["split", "unassign"])
    @pytest.mark.parametrize("speakers", [[], ["1"], [str(uuid.UUID(int=0))] * 1001])
    async def test_lists_that_are_not_taken(self, client, cluster, verb, speakers):
        answer = await client.post(f"{CLUSTERS}/{cluster}/{verb}", json={"speaker_ids": speakers})
        assert error_type(answer) == (422, "validation_error")

    async def test_taken_out_and_kept_apart(self, client, sessions, voices, cluster):
        body = {"speaker_ids": ids([voices[0], voices[0]])}
        left = (await post(client, f"/{cluster}/unassign", body))["cluster"]
        assert (left["member_count"], left["kept"]) == (3, False)
        assert left["mean_similarity"] > 0.95
        assert await places(sessions, voices[:1]) == [None]
        async with session_scope(sessions) as session:
            pairs = (await session.execute(select(CannotLink.first_id, CannotLink.second_id))).all()
        assert {frozenset(pair) for pair in pairs} == {
            frozenset((voices[0], one)) for one in voices[1:4]
        }

    async def test_taken_out_without_more(self, client, sessions, voices, cluster):
        body = {"speaker_ids": ids(voices[:4]), "cannot_link": False}
        assert (await post(client, f"/{cluster}/unassign", body))["cluster"] is None
        assert await places(sessions, voices[:4]) == [None] * 4
        assert error_type(await client.get(f"{CLUSTERS}/{cluster}")) == (404, "not_found")
        async with session_scope(sessions) as session:
            assert not (await session.scalars(select(CannotLink))).all()

    async def test_nobody_elses(self, client, stranger, sessions, voices, cluster, other):
        for method, path, body in (
            ("PUT", cluster, {"label": "x"}),
            ("DELETE", cluster, None),
            ("POST", f"{cluster}/merge/{other}", None),
            ("POST", f"{cluster}/split", {"speaker_ids": ids(voices[:1])}),
            ("POST", f"{cluster}/unassign", {"speaker_ids": ids(voices[:1])}),
            ("POST", f"{cluster}/promote", {"name": "Ada"}),
            ("GET", f"{cluster}/outliers", None),
            ("GET", f"{cluster}/members", None),
        ):
            answer = await stranger.request(method, f"{CLUSTERS}/{path}", json=body)
            assert error_type(answer) == (404, "not_found"), path
        theirs = await clustered(sessions, await id_of(stranger), [])
        for path in (f"{theirs}/merge/{cluster}", f"{cluster}/merge/{theirs}"):
            answer = await stranger.post(f"{CLUSTERS}/{path}")
            assert error_type(answer) == (404, "not_found"), path
        assert (await told(client, f"/{cluster}"))["member_count"] == 4


class TestPromotion:
    async def test_all_members_are_that_person(self, client, sessions, me, voices, cluster):
        made = await post(client, f"/{cluster}/promote", {"name": " Ada "})
        assert (made["name"], made["remaining"]) == ("Ada", 0)
        assert set(made["speaker_ids"]) == set(ids(voices[:4]))
        assert made["change_id"]
        assert error_type(await client.get(f"{CLUSTERS}/{cluster}")) == (404, "not_found")
        async with session_scope(sessions) as session:
            named = list(await session.scalars(select(Speaker).where(Speaker.id.in_(voices[:4]))))
            versions = list(await session.scalars(select(Transcript.version)))
        for speaker in named:
            assert (speaker.display_name, speaker.verified) == ("Ada", True)
            assert str(speaker.profile_id) == made["profile_id"]
            assert (speaker.cluster_id, speaker.cluster_similarity) == (None, None)
        assert sorted(versions) == [1, 1, 2, 2, 2, 2]

    async def test_some_of_them_by_the_profiles_id(self, client, sessions, me, voices, cluster):
        async with session_scope(sessions) as session:
            ada = SpeakerProfile(id=uuid.uuid4(), user_id=me, name="Ada")
            session.add(ada)
            await session.flush()
            session.add(ProfileRejection(speaker_id=voices[0], profile_id=ada.id))
        body = {"profile_id": str(ada.id), "speaker_ids": ids(voices[:1])}
        made = await post(client, f"/{cluster}/promote", body)
        assert (made["profile_id"], made["remaining"]) == (str(ada.id), 3)
        assert (await told(client, f"/{cluster}"))["member_count"] == 3
        async with session_scope(sessions) as session:
            assert not (await session.scalars(select(ProfileRejection))).all()

    async def test_a_name_in_other_letter_case_is_the_same_person(self, client, cluster, other):
        one = await post(client, f"/{cluster}/promote", {"name": "Ada"})
        two = await post(client, f"/{other}/promote", {"name": "ADA"})
        assert (two["profile_id"], two["name"]) == (one["profile_id"], "Ada")

    async def test_to_nobody_elses_profile(self, client, stranger, sessions, cluster):
        async with session_scope(sessions) as session:
            theirs = SpeakerProfile(id=uuid.uuid4(), user_id=await id_of(stranger), name="Ada")
            session.add(theirs)
        body = {"profile_id": str(theirs.id)}
        answer = await client.post(f"{CLUSTERS}/{cluster}/promote", json=body)
        assert error_type(answer) == (404, "not_found")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": "Ada", "profile_id": str(uuid.uuid4())},
            {"name": "a\x00"},
            {"name": ""},
            {"name": "x" * 256},
            {"name": "Ada", "speaker_ids": []},
        ],
    )
    async def test_who_is_not_said(self, client, cluster, body):
        answer = await client.post(f"{CLUSTERS}/{cluster}/promote", json=body)
        assert error_type(answer) == (422, "validation_error")

    async def test_nobody_is_in_it_any_more(self, client, sessions, me):
        empty = await clustered(sessions, me, [])
        answer = await client.post(f"{CLUSTERS}/{empty}/promote", json={"name": "Ada"})
        assert error_type(answer) == (409, "conflict")

    async def test_promoted_twice_at_once(self, client, sessions, voices, cluster):
        async def promote(name: str):
            return await client.post(f"{CLUSTERS}/{cluster}/promote", json={"name": name})

        answers = await asyncio.gather(*(promote(name) for name in ("Ada", "Bob", "Eve")))
        assert sorted(answer.status_code for answer in answers) == [200, 404, 404]
        async with session_scope(sessions) as session:
            names = set(
                await session.scalars(
                    select(Speaker.display_name).where(Speaker.id.in_(voices[:4]))
                )
            )
        assert len(names) == 1
        assert None not in names


@pytest.mark.parametrize("most", [2])
class TestLimits:
    @pytest.fixture
    def voice_settings(self, voice_settings, most):
        return voice_settings.model_copy(update={"max_named_at_once": most})

    async def test_a_large_cluster_is_promoted_in_portions(self, client, voices, cluster):
        answer = await client.post(f"{CLUSTERS}/{cluster}/promote", json={"name": "Ada"})
        assert error_type(answer) == (409, "conflict")
        assert "speaker_ids" in answer.json()["detail"]
        for start, end in pairwise((0, 2, 4)):
            body = {"name": "Ada", "speaker_ids": ids(voices[start:end])}
            made = await post(client, f"/{cluster}/promote", body)
        assert made["remaining"] == 0


async def test_everything_at_once_leaves_every_voice_somewhere_that_is_there(
    client, sessions, me, voices, cluster, other
):
    """Whatever comes first, each voice is in a cluster that exists, or has a name, or neither."""

    async def send(method: str, path: str, body: dict | None = None) -> int:
        return (await client.request(method, f"{CLUSTERS}/{path}", json=body)).status_code

    found = await asyncio.gather(
        send("POST", f"{cluster}/merge/{other}"),
        send("POST", f"{other}/merge/{cluster}"),
        send("POST", f"{cluster}/split", {"speaker_ids": ids(voices[:2])}),
        send("POST", f"{cluster}/unassign", {"speaker_ids": ids(voices[1:2])}),
        send("POST", f"{other}/promote", {"name": "Ada"}),
        send("DELETE", cluster),
        send("PUT", other, {"label": "x"}),
    )
    assert set(found) <= {200, 201, 204, 404, 409}
    async with session_scope(sessions) as session:
        there = set(await session.scalars(select(SpeakerCluster.id)))
        for speaker in await session.scalars(select(Speaker)):
            assert speaker.cluster_id is None or speaker.cluster_id in there
            assert speaker.display_name is None or speaker.cluster_id is None
            assert (speaker.cluster_id is None) <= (speaker.cluster_similarity is None)
