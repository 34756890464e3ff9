"""/api/search: what is found and how it is told; suggestions, filters."""

import json
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.dependencies import Services
from api.factory import create_app
from api.search.routes import stores_of
from cluster.settings import SearchSettings
from db.keywords.create import create_keyword_store
from pipelines.search.finding import SearchStores
from tests.fixtures.api import connect
from tests.fixtures.files import user_id
from tests.fixtures.searchable import PATIENCE, bring, spoken
from tests.fixtures.stack import free_port

SEARCH = "/api/search"
LAUNCH = "We move the launch date of R&D's <new> product by two weeks."
GARDEN = "My garden has roses, tulips and an old apple tree."


@pytest.fixture
def stores(services: Services) -> SearchStores:
    return stores_of(services)


@pytest.fixture
async def library(client: httpx.AsyncClient, stores: SearchStores) -> dict[str, str]:
    """Two recordings of this client's user."""
    mine = await user_id(client)
    board = await spoken(
        stores.sessions,
        mine,
        [("Ada", LAUNCH), ("Bob", "The budget is too small.")],
        title="Board",
        tags=["work"],
        collections=["Spring"],
        size_bytes=5000,
    )
    garden = await spoken(
        stores.sessions, mine, [("SPEAKER_00", GARDEN)], content_type="video/mp4", language="de"
    )
    await bring(stores)
    return {"board": str(board), "garden": str(garden)}


async def search(client: httpx.AsyncClient, q: str, **more: Any) -> dict[str, Any]:
    answer = await client.get(SEARCH, params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def ids(found: dict[str, Any]) -> list[str]:
    return [one["file_id"] for one in found["results"]["items"]]


class TestAnswers:
    async def test_a_file_with_its_places(self, client, library):
        found = await search(client, "launch date")
        [file] = found["results"]["items"]
        assert file["file_id"] == library["board"]
        assert (file["title"], file["title_highlighted"]) == ("Board", "Board")
        assert file["match_sources"] == ["keyword", "semantic"]
        assert 50 < file["relevance_percent"] <= 100
        assert file["relevance_percent"] == round(100 * file["relevance_score"])
        assert not file["semantic_only"]
        assert (file["tags"], file["speakers"]) == (["work"], ["Ada", "Bob"])
        assert [one["name"] for one in file["collections"]] == ["Spring"]
        assert (file["total_occurrences"], file["keyword_occurrences"]) == (1, 1)
        [place] = file["occurrences"]
        assert place["snippet"] == (
            "We move the <mark>launch</mark> <mark>date</mark> of R&amp;D&#x27;s &lt;new&gt; "
            "product by two weeks. The budget is too small."
        )
        assert (place["start"], place["end"]) == (0.0, 8.5)
        assert place["speakers"] == ["Ada", "Bob"]
        assert place["match_type"] == ["keyword", "semantic"]

    async def test_who_answered_and_how_long_it_took(self, client, library):
        found = await search(client, 'launch "too small" speaker:bob')
        assert [(one["source"], one["adapter"], one["status"]) for one in found["stores"]] == [
            ("keyword", "postgresql", "answered"),
            ("semantic", "pgvector", "answered"),
        ]
        assert not found["degraded"]
        assert found["degraded_reasons"] == []
        assert found["search_time_ms"] > 0
        assert found["query"] == {
            "words": ["launch"],
            "phrases": ["too small"],
            "speakers": ["bob"],
            "left_out": [],
        }
        assert found["search_mode"] == "hybrid"
        assert not found["capped"]

    async def test_facets(self, client, library):
        facets = (await search(client, "launch roses"))["facets"]
        assert facets["files"] == 2
        assert facets["speakers"] == [
            {"value": "Ada", "count": 1},
            {"value": "Bob", "count": 1},
        ]
        assert facets["languages"] == [{"value": "de", "count": 1}, {"value": "en", "count": 1}]

    async def test_pages(self, client, library):
        first = await search(client, "launch roses", page_size=1)
        second = await search(client, "launch roses", page_size=1, page=2)
        assert {*ids(first), *ids(second)} == set(library.values())
        assert (first["results"]["total"], first["results"]["total_pages"]) == (2, 2)
        assert ids(await search(client, "launch roses", page_size=1, page=3)) == []

    async def test_of_nobody_else(self, stranger, library):
        for mode in ("hybrid", "keyword", "semantic"):
            found = await search(stranger, "launch date", search_mode=mode)
            assert found["results"]["items"] == []
            assert found["facets"]["files"] == 0

    @pytest.mark.parametrize(
        ("narrowed", "expected"),
        [
            ({"speakers": "ada"}, {"board"}),
            ({"tags": "WORK"}, {"board"}),
            ({"file_type": "video"}, {"garden"}),
            ({"language": "de"}, {"garden"}),
            ({"min_file_size": 2000}, {"board"}),
            ({"title_filter": "boa"}, {"board"}),
            ({"date_from": "2999-01-01"}, set()),
            ({"min_duration": 1e6}, set()),
            ({"collection_id": str(uuid.uuid4())}, set()),
            ({"speakers": ["nobody", "ada"]}, {"board"}),
        ],
    )
    async def test_filters(self, client, library, narrowed, expected):
        text = "move launch date product weeks garden roses tulips apple tree"
        for mode in ("hybrid", "keyword", "semantic"):
            found = await search(client, text, search_mode=mode, **narrowed)
            assert set(ids(found)) == {library[name] for name in expected}, mode

    async def test_orders(self, client, library):
        upwards = await search(client, "launch roses", sort_by="file_size", sort_order="asc")
        assert ids(upwards) == [library["garden"], library["board"]]


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ({}, "#/q"),
            ({"q": ""}, "#/q"),
            ({"q": "  "}, "#/q"),
            ({"q": "???"}, "#/q"),
            ({"q": "a\x00b"}, "#/q"),
            ({"q": "x" * 1001}, "#/q"),
            ({"q": "word " * 2000}, "#/q"),
            ({"q": "speaker:ada", "search_mode": "semantic"}, "#/q"),
            ({"q": "x", "search_mode": "magic"}, "#/search_mode"),
            ({"q": "x", "sort_by": "colour"}, "#/sort_by"),
            ({"q": "x", "min_duration": 2, "max_duration": 1}, "#/min_duration"),
            ({"q": "x", "date_from": "2030-02-01", "date_to": "2030-01-01"}, "#/date_from"),
            ({"q": "x", "page_size": 101}, "#/page_size"),
        ],
    )
    async def test_what_cannot_be_asked(self, client, query, pointer):
        answer = await client.get(SEARCH, params=query)
        assert answer.status_code == 422, answer.text
        assert pointer in [each["pointer"] for each in answer.json()["errors"]]

    async def test_a_store_that_is_away_is_told(self, client, services, library):
        url = f"http://127.0.0.1:{free_port()}"
        search_settings = SearchSettings(meili_url=url, query_seconds=PATIENCE)
        dead = create_keyword_store(search_settings, services.sessions)
        app = create_app(replace(services, keywords=dead, search=search_settings))
        async with connect(app) as degraded:
            degraded.headers["Authorization"] = client.headers["Authorization"]
            found = await search(degraded, "launch date")
            assert ids(found) == [library["board"]]
            assert found["degraded"]
            [reason] = found["degraded_reasons"]
            assert reason.startswith("The keyword store ")
            assert "127.0.0.1" not in json.dumps(found)
            assert found["results"]["items"][0]["semantic_only"]
            refused = await degraded.get(SEARCH, params={"q": "x", "search_mode": "keyword"})
            assert refused.status_code == 503
            assert refused.json()["error_type"] == "store_unavailable"
            suggested = await degraded.get(f"{SEARCH}/suggestions", params={"q": "boa"})
            assert suggested.json()["data"]["degraded"]
        await dead.close()


class TestSuggestions:
    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("boa", [("title", "Board")]),
            ("AD", [("speaker", "Ada")]),
            ("wor", [("tag", "work")]),
            ("move the lau", [("word", "move the launch")]),
            ("tul", [("word", "tulips")]),
            ("%%", []),
            ("??", []),
        ],
    )
    async def test_names_and_words(self, client, library, typed, expected):
        answer = await client.get(f"{SEARCH}/suggestions", params={"q": typed})
        assert answer.status_code == 200, answer.text
        found = answer.json()["data"]
        assert [(one["type"], one["text"]) for one in found["suggestions"]] == expected
        assert not found["degraded"]

    async def test_of_nobody_else(self, stranger, library):
        for typed in ("boa", "ada", "lau", "work"):
            answer = await stranger.get(f"{SEARCH}/suggestions", params={"q": typed})
            assert answer.json()["data"]["suggestions"] == []

    async def test_a_title_leads_to_its_newest_file(self, client, stores, library):
        newest = await spoken(stores.sessions, await user_id(client), [("Ada", "x")], title="Board")
        answer = await client.get(f"{SEARCH}/suggestions", params={"q": "board"})
        [title] = [one for one in answer.json()["data"]["suggestions"] if one["type"] == "title"]
        assert (title["count"], title["file_id"]) == (2, str(newest))

    async def test_limits(self, client):
        for query in ({"q": "a"}, {"q": "ab", "limit": 21}, {"q": "x" * 201}, {"q": "a\nb"}):
            answer = await client.get(f"{SEARCH}/suggestions", params=query)
            assert answer.status_code == 422


async def test_what_a_search_can_be_narrowed_by(client, stranger, library):
    found = (await client.get(f"{SEARCH}/filters")).json()["data"]
    assert found["files"] == 2
    assert [one["value"] for one in found["speakers"]] == ["Ada", "Bob"]
    assert found["tags"] == [{"value": "work", "count": 1}]
    assert [(one["name"], one["count"]) for one in found["collections"]] == [("Spring", 1)]
    assert {one["value"] for one in found["file_types"]} == {"audio", "video"}
    nothing = (await stranger.get(f"{SEARCH}/filters")).json()["data"]
    assert (nothing["files"], nothing["speakers"], nothing["earliest"]) == (0, [], None)
