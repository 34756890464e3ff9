"""What the Qdrant adapter sends, by Qdrant's own OpenAPI document, and what it makes of trouble."""

import copy
import math
import socket
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from cluster.settings import SearchSettings
from db.errors import NotFound, StoreUnavailable
from db.vectors import qdrant_requests
from db.vectors.create import create_vector_store
from db.vectors.pgvector import PgVectorStore
from db.vectors.port import Point, Space, VectorStore
from db.vectors.qdrant import CHUNK
from tests.fixtures.described_server import Trouble
from tests.fixtures.qdrant_server import COLLECTION, QdrantServer, qdrant_server

KEY = "a key of Qdrant"
OWNER = uuid.uuid4()
VOICES = Space("voices", 4)
EAST = (1.0, 0.0, 0.0, 0.0)
NOT_THERE = Trouble(404, "Not found: Collection `voices` doesn't exist!")


@pytest.fixture
def server() -> Iterator[QdrantServer]:
    with qdrant_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_requests, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(qdrant_requests, "LONGEST_PAUSE_SECONDS", 0.01)


def settings(url: str, **more) -> SearchSettings:
    return SearchSettings(qdrant_url=url, qdrant_api_key=SecretStr(KEY), **more)


@pytest.fixture
async def store(server: QdrantServer) -> AsyncIterator[VectorStore]:
    made = create_vector_store(settings(server.url), None)
    yield made
    await made.close()


class TestRequests:
    """The server itself fails a test whose requests are not as the document says."""

    async def test_a_space_is_a_collection_whose_tenant_is_the_owner(self, server, store):
        server.troubles = [NOT_THERE]
        await store.ensure(VOICES)
        (created,) = server.of("create_collection")
        assert created.path["collection_name"] == "voices"
        assert created.body["vectors"] == {"size": 4, "distance": "Cosine"}
        assert created.body["hnsw_config"] == {"m": 0, "payload_m": 16}
        indexes = {
            request.body["field_name"]: request.body["field_schema"]
            for request in server.of("create_field_index")
        }
        assert indexes == {
            "owner_id": {"type": "keyword", "is_tenant": True},
            "kind": {"type": "keyword"},
            "media_file_id": {"type": "keyword"},
            "speaker_ids": {"type": "keyword"},
        }
        assert all(request.query["wait"] == "true" for request in server.of("create_field_index"))
        asked = len(server.asked)
        await store.ensure(VOICES)
        assert len(server.asked) == asked

    async def test_points_have_our_ids_and_their_owner_and_are_waited_for(self, server, store):
        one = Point(uuid.uuid4(), OWNER, (3.0, 0, 0, 4.0), {"kind": "speaker"})
        await store.upsert("voices", [one])
        (request,) = server.of("upsert_points")
        assert request.query == {"wait": "true"}
        (sent,) = request.body["points"]
        assert sent["id"] == str(one.id)
        assert sent["vector"] == pytest.approx([0.6, 0, 0, 0.8])
        assert sent["payload"] == {"kind": "speaker", "owner_id": str(OWNER)}

    async def test_many_points_are_sent_in_parts(self, server, store):
        points = [Point(uuid.uuid4(), OWNER, EAST) for _ in range(2 * CHUNK + 1)]
        await store.upsert("voices", points)
        sent = [request.body["points"] for request in server.of("upsert_points")]
        assert [len(part) for part in sent] == [CHUNK, CHUNK, 1]
        assert [one["id"] for part in sent for one in part] == [str(one.id) for one in points]

    async def test_a_search_of_several_is_one_request_in_which_each_names_the_owner(
        self, server, store
    ):
        found = uuid.uuid4()
        hit = {"id": str(found), "version": 0, "score": 1.0000001}
        hit["payload"] = {"owner_id": str(OWNER), "kind": "speaker"}
        far = {**hit, "score": 0.1}
        server.results["query_batch_points"] = [{"points": [hit, far]}, {"points": []}]
        hits, none = await store.search(
            "voices",
            OWNER,
            [EAST, (0, 1, 0, 0)],
            limit=3,
            at_least=0.5,
            matching={"kind": ["speaker"]},
            excluding={"media_file_id": ["here"]},
        )
        (request,) = server.of("query_batch_points")
        assert len(request.body["searches"]) == 2
        for search in request.body["searches"]:
            assert search["filter"] == {
                "must": [
                    {"key": "owner_id", "match": {"any": [str(OWNER)]}},
                    {"key": "kind", "match": {"any": ["speaker"]}},
                ],
                "must_not": [{"key": "media_file_id", "match": {"any": ["here"]}}],
            }
            assert (search["limit"], search["with_payload"]) == (3, True)
        assert [(hit.id, hit.similarity, hit.payload) for hit in hits] == [
            (found, 1.0, {"kind": "speaker"})
        ]
        assert none == []

    async def test_what_is_removed_is_the_owners_and_waited_for(self, server, store):
        kept = uuid.uuid4()
        await store.delete("voices", OWNER, matching={"media_file_id": ["here"]}, keep=[kept])
        await store.delete("voices", OWNER)
        await store.remove("voices", [kept])
        first, everything, by_id = server.of("delete_points")
        owner = {"key": "owner_id", "match": {"any": [str(OWNER)]}}
        assert first.body["filter"] == {
            "must": [owner, {"key": "media_file_id", "match": {"any": ["here"]}}],
            "must_not": [{"has_id": [str(kept)]}],
        }
        assert everything.body["filter"] == {"must": [owner]}
        assert by_id.body["points"] == [str(kept)]
        assert {request.query["wait"] for request in (first, everything, by_id)} == {"true"}

    async def test_ids_are_read_in_pages(self, server, store):
        ids = [uuid.uuid4() for _ in range(3)]
        page = {"points": [{"id": str(one)} for one in ids[:2]], "next_page_offset": str(ids[2])}
        server.results["scroll_points"] = page
        found = []
        async for one in store.ids("voices", OWNER):
            found.append(one)
            server.results["scroll_points"] = {
                "points": [{"id": str(ids[2])}],
                "next_page_offset": None,
            }
        assert found == ids
        first, second = server.of("scroll_points")
        assert second.body["offset"] == str(ids[2])
        assert first.body["filter"] == second.body["filter"]
        assert (first.body["with_payload"], first.body["with_vector"]) == (False, False)

    async def test_ids_that_match_are_read_by_a_filter(self, server, store):
        assert [one async for one in store.ids("voices", matching={"kind": ["a", "b"]})] == []
        assert [one async for one in store.ids("voices", OWNER, matching={"kind": ["a"]})] == []
        of_all, of_one = (request.body["filter"]["must"] for request in server.of("scroll_points"))
        assert of_all == [{"key": "kind", "match": {"any": ["a", "b"]}}]
        owner = {"key": "owner_id", "match": {"any": [str(OWNER)]}}
        assert of_one == [owner, {"key": "kind", "match": {"any": ["a"]}}]

    async def test_of_files_only_their_field_is_read(self, server, store):
        file = uuid.uuid4()
        payloads = [{"media_file_id": str(file)}, {"media_file_id": str(file)}, {}]
        points = [{"id": str(uuid.uuid4()), "payload": payload} for payload in payloads]
        server.results["scroll_points"] = {"points": points, "next_page_offset": None}
        assert [page async for page in store.files("voices")] == [{file: 2}]
        (asked,) = server.of("scroll_points")
        assert asked.body["with_payload"] == ["media_file_id"]
        assert "filter" not in asked.body

    async def test_a_list_is_sent_as_a_list(self, server, store):
        one = Point(uuid.uuid4(), OWNER, EAST, {"speaker_ids": ["ann", "bob"]})
        await store.upsert("voices", [one])
        (sent,) = server.of("upsert_points")[0].body["points"]
        assert sent["payload"]["speaker_ids"] == ["ann", "bob"]

    async def test_points_are_counted_exactly(self, server, store):
        assert await store.count("voices", OWNER) == 7
        assert await store.count("voices") == 7
        of_one, of_all = server.of("count_points")
        assert of_one.body == {
            "exact": True,
            "filter": {"must": [{"key": "owner_id", "match": {"any": [str(OWNER)]}}]},
        }
        assert of_all.body == {"exact": True}

    async def test_spaces_are_listed_and_dropped(self, server, store):
        assert await store.spaces() == ["others", "voices"]
        await store.drop("voices")
        assert [one.path["collection_name"] for one in server.of("delete_collection")] == ["voices"]

    async def test_each_request_has_the_key_and_no_proxy_hears_of_it(
        self, server, store, monkeypatch
    ):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
            second = create_vector_store(settings(server.url, vector_retries=0), None)
            await second.ready()
            await second.count("voices")
            await second.close()
        assert {request.headers["api-key"] for request in server.asked} == {KEY}

    async def test_without_a_key_none_is_sent(self, server):
        store = create_vector_store(SearchSettings(qdrant_url=server.url), None)
        await store.ready()
        await store.close()
        assert "api-key" not in server.asked[0].headers


class TestTroubles:
    @pytest.mark.parametrize(
        "trouble",
        [
            Trouble(500),
            Trouble(503),
            Trouble(429),
            Trouble(429, headers={"Retry-After": "3"}),
            Trouble(429, headers={"Retry-After": "Sun, 22 Nov 2026 10:00:00 GMT"}),
            Trouble(0),
        ],
        ids=["500", "503", "429", "429-seconds", "429-date", "broken"],
    )
    async def test_what_passes_is_asked_again(self, server, store, trouble):
        server.troubles = [trouble, trouble]
        assert await store.count("voices") == 7
        assert len(server.asked) == 3
        server.troubles = [trouble] * 3
        with pytest.raises(StoreUnavailable, match="Qdrant"):
            await store.count("voices")
        assert len(server.asked) == 6

    async def test_silence_ends(self, server):
        store = create_vector_store(
            settings(server.url, vector_timeout_seconds=0.3, vector_retries=1), None
        )
        server.troubles = [Trouble(silent=True)] * 2
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.3 s"):
            await store.ready()
        await store.close()
        assert len(server.asked) == 2

    async def test_nobody_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
            store = create_vector_store(settings(url), None)
            for call in (store.ready(), store.ensure(VOICES), store.count("voices")):
                with pytest.raises(StoreUnavailable, match="ConnectError"):
                    await call
            await store.close()

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_wrong_key_is_said_and_not_tried_again(self, server, store, status):
        server.troubles = [Trouble(status, f"Must provide an API key, not {KEY}")]
        with pytest.raises(StoreUnavailable, match="QDRANT_API_KEY") as raised:
            await store.ready()
        assert KEY not in str(raised.value)
        assert len(server.asked) == 1

    async def test_what_the_server_refuses_is_not_tried_again(self, server, store):
        server.troubles = [Trouble(400, "Wrong input: nonsense")]
        with pytest.raises(StoreUnavailable, match=r"answered 400.*nonsense"):
            await store.count("voices")
        assert len(server.asked) == 1

    async def test_an_answer_of_something_else_is_an_outage(self, server, store):
        server.results["count_points"] = {"number": 3}
        with pytest.raises(StoreUnavailable, match="Qdrant"):
            await store.count("voices")
        assert server.wrong
        server.wrong.clear()

    async def test_who_is_first_to_make_a_collection_does_not_matter(self, server, store):
        server.troubles = [NOT_THERE, Trouble(409, "Collection `voices` already exists!")]
        await store.ensure(VOICES)
        assert len(server.of("create_field_index")) == 4

    async def test_a_collection_that_cannot_be_made(self, server, store):
        server.troubles = [NOT_THERE, Trouble(400, "no space left"), NOT_THERE]
        with pytest.raises(StoreUnavailable, match="no space left"):
            await store.ensure(VOICES)

    async def test_a_collection_of_another_dimension_or_distance_is_refused(self, server, store):
        with pytest.raises(ValueError, match="there with 4 dimensions, not 5"):
            await store.ensure(Space("voices", 5))
        other = copy.deepcopy(COLLECTION)
        other["config"]["params"]["vectors"]["distance"] = "Dot"
        server.results["get_collection"] = other
        with pytest.raises(ValueError, match="voices is not of ours"):
            await store.ensure(VOICES)
        assert not server.of("create_field_index")

    async def test_a_collection_dropped_by_another_process_is_made_again(self, server, store):
        await store.ensure(VOICES)
        server.troubles = [NOT_THERE, NOT_THERE]
        await store.upsert("voices", [Point(uuid.uuid4(), OWNER, EAST)])
        assert len(server.of("create_collection")) == 1
        assert len(server.of("upsert_points")) == 2

    async def test_nothing_is_in_a_collection_that_is_not_there(self, server, store):
        server.troubles = [NOT_THERE] * 3
        assert await store.count("voices") == 0
        assert await store.search("voices", OWNER, [EAST], limit=1) == [[]]
        with pytest.raises(NotFound):
            await store.upsert("voices", [Point(uuid.uuid4(), OWNER, EAST)])

    async def test_a_vector_without_a_direction_never_leaves(self, server, store):
        with pytest.raises(ValueError, match="no direction"):
            await store.upsert("voices", [Point(uuid.uuid4(), OWNER, (math.nan, 0, 0, 0))])
        assert not server.of("upsert_points")


class TestWhichStore:
    @pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1", "127.0.0.1:6333"])
    def test_an_address_that_is_none_is_said_at_once(self, url):
        with pytest.raises(ValueError, match="QDRANT_URL must be http"):
            create_vector_store(SearchSettings(qdrant_url=url), None)

    async def test_without_an_address_it_is_postgresql(self, sessions):
        store = create_vector_store(SearchSettings(), sessions)
        assert isinstance(store, PgVectorStore)
        await store.ready()
        await store.close()
