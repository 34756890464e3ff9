"""What the Meilisearch adapter sends, by Meilisearch's OpenAPI document, and makes of trouble."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from cluster.settings import SearchSettings
from db.errors import NotFound, StoreUnavailable
from db.keywords import meilisearch, meilisearch_requests
from db.keywords.create import create_keyword_store
from db.keywords.port import (
    FileFacts,
    KeywordQuery,
    KeywordStore,
    PassageDocument,
    PassageFilters,
)
from db.keywords.postgres import PostgresKeywordStore
from tests.fixtures.described_server import Trouble
from tests.fixtures.meilisearch_server import (
    RESULTS,
    SETTINGS,
    MeilisearchServer,
    meilisearch_server,
)

KEY = "a key of Meilisearch"
OWNER, FILE = uuid.uuid4(), uuid.uuid4()
MINE = f'owner_id IN ["{OWNER}"]'
NO_INDEX = Trouble(404, "Index `rayscribe-passages` not found.", "index_not_found")
WRITTEN = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[MeilisearchServer]:
    with meilisearch_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meilisearch_requests, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(meilisearch_requests, "LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(meilisearch_requests, "FIRST_LOOK_SECONDS", 0.001)


def settings(url: str, **more) -> SearchSettings:
    return SearchSettings(meili_url=url, meili_api_key=SecretStr(KEY), **more)


@pytest.fixture
async def store(server: MeilisearchServer) -> AsyncIterator[KeywordStore]:
    made = create_keyword_store(settings(server.url), None)
    yield made
    await made.close()


def passage(number: int = 0, text: str = "The ingress lost its certificate.") -> PassageDocument:
    facts = FileFacts(
        "Stand-up", WRITTEN, "video/mp4", 2_000, 61.5, "en", ("Ops", "Q4"), (uuid.uuid4(),)
    )
    return PassageDocument(
        uuid.uuid4(), OWNER, FILE, number, 1.5, 60.25, text, ("Ada", "SPEAKER_01"), facts
    )


def hit(text: str, *spans: tuple[int, int], title: bool = False) -> dict:
    matches = {"text": [{"start": start, "length": length} for start, length in spans]}
    if title:
        matches["title"] = [{"start": 0, "length": 2}]
    return {
        "id": str(uuid.uuid4()),
        "media_file_id": str(FILE),
        "number": 3,
        "start": 1.5,
        "end": 60.25,
        "text": text,
        "title": "Stand-up",
        "speakers": ["Ada"],
        "_matchesPosition": matches,
        "_rankingScore": 0.75,
    }


def will_find(server: MeilisearchServer, *found: dict, query: str = "ingress") -> None:
    answer = {**server.results["search_with_post"], "query": query, "hits": list(found)}
    server.results["search_with_post"] = answer


async def asked(server: MeilisearchServer, store: KeywordStore, query: KeywordQuery) -> dict:
    """The body of the search that a query becomes."""
    await store.search("passages", OWNER, query, limit=20)
    return server.of("search_with_post")[-1].body


class TestIndexes:
    """The server itself fails a test whose requests are not as the document says."""

    async def test_an_index_is_made_by_its_settings_in_one_write(self, server, store):
        server.troubles = [None, NO_INDEX]
        await store.ensure("passages")
        (written,) = server.of("update_all")
        assert written.path["index_uid"] == "rayscribe-passages"
        assert written.body["searchableAttributes"] == ["text", "title"]
        assert {"owner_id", "media_file_id"} < set(written.body["filterableAttributes"])
        # What only filters: names of tags are not in hits, nor whose they are.
        assert not {"owner_id", "tag_keys", "speaker_keys"} & set(
            written.body["displayedAttributes"]
        )
        assert written.body["rankingRules"] == [
            "words",
            "typo",
            "proximity",
            "exactness",
            "attribute",
        ]
        sizes = written.body["typoTolerance"]["minWordSizeForTypos"]
        assert sizes == {"oneTypo": 5, "twoTypos": 9}
        assert written.body["pagination"]["maxTotalHits"] >= SearchSettings().window
        assert {one.body["containsFilter"] for one in server.of("patch_features")} == {True}
        assert server.made == ["settingsUpdate"]

    async def test_settings_that_are_as_they_should_be_are_left(self, server, store):
        await store.ensure("passages")
        assert not server.of("update_all")

    async def test_settings_of_an_earlier_version_are_brought_up_to_date(self, server, store):
        server.results["get_all"] = {**SETTINGS, "rankingRules": ["words"]}
        await store.ensure("passages")
        assert len(server.of("update_all")) == 1

    async def test_ours_are_listed_in_pages_and_others_left_out(self, server, store, monkeypatch):
        monkeypatch.setattr(meilisearch, "PAGE", 2)
        whole = server.results["list_indexes"]
        pages = (whole["results"][:2], whole["results"][2:])
        server.first["list_indexes"] = [{**whole, "results": page} for page in pages]
        assert await store.indexes() == ["passages", "passages-next"]
        first, second = (request.query for request in server.of("list_indexes"))
        assert first == {"limit": "2", "offset": "0"}
        assert second == {"limit": "2", "offset": "2"}

    async def test_two_are_swapped_and_one_is_dropped(self, server, store):
        await store.swap("passages", "passages-next")
        (swapped,) = server.of("swap_indexes")
        assert swapped.body == [{"indexes": ["rayscribe-passages", "rayscribe-passages-next"]}]
        await store.drop("passages-next")
        (dropped,) = server.of("delete_index")
        assert dropped.path["index_uid"] == "rayscribe-passages-next"

    @pytest.mark.parametrize("name", ["", "Passages", "a/b", "x" * 64, "ä"])
    async def test_a_name_that_no_index_can_have_never_leaves(self, server, store, name):
        for call in (store.ensure(name), store.drop(name), store.count(name)):
            with pytest.raises(ValueError, match="name"):
                await call
        assert not server.asked


class TestWrites:
    async def test_a_passage_is_a_document_with_keys_that_filters_name(self, server, store):
        one = passage()
        await store.upsert("passages", [one])
        (request,) = server.of("replace_documents")
        assert request.query == {"primaryKey": "id"}
        (sent,) = request.body
        assert sent["id"] == str(one.id)
        assert (sent["owner_id"], sent["media_file_id"]) == (str(OWNER), str(FILE))
        assert (sent["text"], sent["title"]) == (one.text, "Stand-up")
        assert sent["speakers"] == ["Ada", "SPEAKER_01"]
        assert sent["collections"] == [str(one.file.collections[0])]
        assert sent["created_at"] == WRITTEN.timestamp()
        assert (sent["duration"], sent["size_bytes"]) == (61.5, 2_000)
        assert [len(sent[name]) for name in ("speaker_keys", "tag_keys", "type_keys")] == [2, 2, 2]
        assert "Ops" not in str(sent)

    async def test_many_are_sent_in_parts_and_waited_for(self, server):
        store = create_keyword_store(settings(server.url, index_batch=2), None)
        server.tasks["documentAdditionOrUpdate"] = [
            ("enqueued", None),
            ("processing", None),
            ("succeeded", None),
        ]
        many = [passage(number) for number in range(5)]
        await store.upsert("passages", many)
        await store.close()
        sent = [request.body for request in server.of("replace_documents")]
        assert [len(part) for part in sent] == [2, 2, 1]
        assert [one["id"] for part in sent for one in part] == [str(one.id) for one in many]
        assert len(server.of("get_task")) == 5

    async def test_what_is_removed_is_the_owners(self, server, store):
        kept = uuid.uuid4()
        await store.delete("passages", OWNER, FILE, keep=[kept])
        await store.delete("passages", OWNER)
        await store.remove_files("passages", [FILE])
        await store.remove_files("passages", [])
        of_file, of_owner, of_anybody = server.of("delete_documents_by_filter")
        file = f'media_file_id IN ["{FILE}"]'
        assert of_file.body == {"filter": f'{MINE} AND {file} AND NOT id IN ["{kept}"]'}
        assert of_owner.body == {"filter": MINE}
        assert of_anybody.body == {"filter": file}

    async def test_nothing_is_in_an_index_that_is_not_there(self, server, store):
        server.troubles = [NO_INDEX] * 4
        assert await store.count("passages") == 0
        assert await store.search("passages", OWNER, KeywordQuery(("a",)), limit=1) == []
        assert [one async for one in store.files("passages")] == []
        with pytest.raises(NotFound, match="index passages"):
            await store.upsert("passages", [passage()])
        assert not server.of("replace_documents")
        for kind in ("documentDeletion", "indexDeletion"):
            server.tasks[kind] = [("failed", "index_not_found")]
        await store.delete("passages", OWNER)
        await store.drop("passages")

    async def test_documents_do_not_bring_an_index_back_that_was_dropped(self, server, store):
        server.tasks["documentAdditionOrUpdate"] = [("processing", None), ("succeeded", None)]
        writing = asyncio.ensure_future(store.upsert("passages", [passage()]))
        while not server.of("get_task"):
            await asyncio.sleep(0)
        # Dropped by another process before the write: it made an index without settings.
        server.results["getfilterableAttributes"] = []
        with pytest.raises(NotFound):
            await writing
        assert len(server.of("delete_index")) == 1

    async def test_an_index_without_settings_gets_them_before_passages(self, server, store):
        server.first["getfilterableAttributes"] = [[]]
        server.first["get_all"] = [{**SETTINGS, "filterableAttributes": []}]
        await store.upsert("passages", [passage()])
        assert server.made == ["settingsUpdate", "documentAdditionOrUpdate"]

    async def test_what_a_store_cannot_keep_never_leaves(self, server, store):
        with pytest.raises(ValueError, match="NUL"):
            await store.upsert("passages", [passage(text="a\x00b")])
        assert not server.asked


class TestSearches:
    async def test_words_follow_phrases_and_the_rarest_matter(self, server, store):
        body = await asked(server, store, KeywordQuery(("ingress", "contr"), ("lost its",)))
        assert body == {
            "q": '"lost its" ingress contr',
            "filter": MINE,
            "limit": 20,
            "attributesToRetrieve": [
                "id",
                "media_file_id",
                "number",
                "start",
                "end",
                "text",
                "title",
                "speakers",
            ],
            "showMatchesPosition": True,
            "showRankingScore": True,
            "matchingStrategy": "frequency",
        }

    async def test_neither_words_nor_phrases_ask_for_everything(self, server, store):
        body = await asked(server, store, KeywordQuery())
        assert (body["q"], body["filter"]) == ("", MINE)

    @pytest.mark.parametrize(
        ("words", "phrases", "text"),
        [
            (("-ingress", "--lost"), (), "ingress lost"),
            (("a", "\uff0dlost", "\ufe63it"), (), "a lost it"),
            (("x\u00a0-y",), (), "x y"),
            (('in"gress',), ('say "no" -ever',), '"say no ever" in gress'),
            (("\uff02quoted\uff02",), (), "quoted"),
            (("don't", "e-mail", "C++"), (), "don't e-mail C++"),
        ],
    )
    async def test_nothing_in_a_query_is_syntax(self, server, store, words, phrases, text):
        assert (await asked(server, store, KeywordQuery(words, phrases)))["q"] == text

    @pytest.mark.parametrize(
        ("text", "text_asked"),
        [
            (
                "what did the manager say of the ingress controller rollout last week 学習",
                "what did manager ingress controller rollout last week 学習",
            ),
            ("one two three four five six seven eight nine ten eleven", "three four"),
        ],
    )
    async def test_of_more_words_than_it_takes_short_ones_are_left_out(
        self, server, store, text, text_asked
    ):
        body = await asked(server, store, KeywordQuery(tuple(text.split())))
        words = body["q"].split()
        assert len(words) == 10
        assert [word for word in words if word in text_asked.split()] == text_asked.split()

    @pytest.mark.parametrize(
        "query",
        [
            KeywordQuery(('"', "-")),
            KeywordQuery((), (' "" ',)),
            KeywordQuery(("a",), filters=PassageFilters(media_file_ids=())),
        ],
    )
    async def test_what_can_find_nothing_is_not_asked(self, server, store, query):
        assert await store.search("passages", OWNER, query, limit=5) == []
        assert not server.asked

    async def test_every_filter_is_a_condition_after_the_owners(self, server, store):
        await store.upsert("passages", [one := passage()])
        (stored,) = server.of("replace_documents")[0].body
        filters = PassageFilters(
            media_file_ids=[FILE],
            speakers=("ADA", "nobody"),
            tags=("OPS", "q4"),
            collection_id=one.file.collections[0],
            from_date=WRITTEN,
            before_date=WRITTEN,
            min_duration=1,
            max_duration=99.5,
            min_file_size=10,
            max_file_size=10_000,
            file_types=("Video",),
            language="EN",
            title="stand",
        )
        body = await asked(server, store, KeywordQuery(("a",), filters=filters))
        ada, *_ = stored["speaker_keys"]
        conditions = body["filter"].split(" AND ")
        assert conditions[0] == MINE
        assert conditions[1:3] == [f'tag_keys IN ["{key}"]' for key in stored["tag_keys"]]
        assert conditions[3] == f'media_file_id IN ["{FILE}"]'
        assert conditions[4].startswith(f'speaker_keys IN ["{ada}", "')
        assert conditions[5] == f'type_keys IN ["{stored["type_keys"][1]}"]'
        assert conditions[6] == f'language_key IN ["{stored["language_key"]}"]'
        assert conditions[7] == f'collections IN ["{stored["collections"][0]}"]'
        assert conditions[8] == 'folded_title CONTAINS "stand"'
        moment = WRITTEN.timestamp()
        assert conditions[9:11] == [f"created_at >= {moment}", f"created_at < {moment}"]
        assert conditions[11:13] == ["duration >= 1", "duration <= 99.5"]
        assert conditions[13:] == ["size_bytes >= 10", "size_bytes <= 10000"]

    @pytest.mark.parametrize(
        "evil",
        ['" OR owner_id EXISTS OR "', "\\", 'x\\" OR id EXISTS OR "', "' OR 1", "\n", "] OR"],
    )
    async def test_no_value_ends_its_quotes(self, server, store, evil):
        filters = PassageFilters(
            speakers=(evil,), tags=(evil,), file_types=(evil,), language=evil, title=evil
        )
        body = await asked(server, store, KeywordQuery(("a", evil), filters=filters))
        assert body["filter"].startswith(f"{MINE} AND ")
        # One pair of quotes around each value, and no backslash that could take one away.
        assert body["filter"].count('"') == 2 * 6
        assert "\\" not in body["filter"]

    async def test_marks_are_in_characters_though_told_in_bytes(self, server, store):
        text = "Für die Straße — 東京都 🎉 Ingress"
        data = text.encode()

        def place(word: str) -> tuple[int, int]:
            return data.index(word.encode()), len(word.encode())

        will_find(
            server,
            hit(text, place("Ingress"), place("Straße"), place("東京"), place("京都")),
            hit("nothing", title=True),
        )
        first, second = await store.search("passages", OWNER, KeywordQuery(("x",)), limit=5)
        assert [text[start:end] for start, end in first.marks] == ["Straße", "東京都", "Ingress"]
        assert (first.number, first.start, first.end, first.score) == (3, 1.5, 60.25, 0.75)
        assert (first.media_file_id, first.speakers, first.title_matched) == (FILE, ("Ada",), False)
        assert (second.marks, second.title_matched) == ((), True)

    async def test_a_query_without_words_for_the_server_finds_nothing(self, server, store):
        # It takes a query of signs for none, and shows everything.
        will_find(server, hit("one"), hit("two"), query="!?")
        assert await store.search("passages", OWNER, KeywordQuery(("!?",)), limit=5) == []
        will_find(server, hit("one"), hit("two"), query="")
        assert len(await store.search("passages", OWNER, KeywordQuery(), limit=5)) == 2


class TestCounts:
    async def test_passages_are_counted_exactly(self, server, store):
        assert (await store.count("passages", OWNER), await store.count("passages")) == (7, 7)
        of_one, of_all = server.of("documents_by_query_post")
        assert of_one.body == {"limit": 0, "fields": ["id"], "filter": MINE}
        assert of_all.body == {"limit": 0, "fields": ["id"]}

    async def test_files_are_counted_at_once_where_they_are_few(self, server, store):
        counts = {str(uuid.uuid4()): 3, str(uuid.uuid4()): 1}
        server.results["search_with_post"] = counted(counts)
        (found,) = [one async for one in store.files("passages")]
        assert found == {uuid.UUID(name): count for name, count in counts.items()}
        (request,) = server.of("search_with_post")
        assert request.body == {"q": "", "limit": 0, "facets": ["media_file_id"]}

    async def test_many_files_are_counted_by_their_first_digits(self, server, store, monkeypatch):
        monkeypatch.setattr(meilisearch, "MAX_FACETS", 2)
        too_many = counted({str(uuid.uuid4()): 1, str(uuid.uuid4()): 1})
        server.first["search_with_post"] = [too_many]
        server.results["search_with_post"] = counted({str(FILE): 4})
        assert [one async for one in store.files("passages")] == [{FILE: 4}] * 16
        asked = [request.body.get("filter") for request in server.of("search_with_post")[1:]]
        assert sorted(asked) == [f'file_prefixes IN ["{digit:x}"]' for digit in range(16)]

    async def test_more_files_than_can_be_counted_are_said(self, server, store, monkeypatch):
        monkeypatch.setattr(meilisearch, "MAX_FACETS", 0)
        with pytest.raises(StoreUnavailable, match="more files"):
            async for _ in store.files("passages"):
                pass
        assert len(server.of("search_with_post")) == 4


def counted(counts: dict[str, int]) -> dict:
    """The answer that tells how many passages files have."""
    return {**RESULTS["search_with_post"], "facetDistribution": {"media_file_id": counts}}


class TestKeys:
    async def test_each_request_has_the_key_and_no_proxy_hears_of_it(
        self, server, store, monkeypatch, tmp_path
    ):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
            await store.ready()
            await store.upsert("passages", [passage()])
            await store.count("passages")
        assert {request.headers["authorization"] for request in server.asked} == {f"Bearer {KEY}"}

    async def test_without_a_key_none_is_sent(self, server):
        store = create_keyword_store(SearchSettings(meili_url=f"{server.url}/"), None)
        await store.ready()
        await store.close()
        assert "authorization" not in server.asked[0].headers

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_wrong_key_is_said_and_not_tried_again(self, server, store, status):
        server.troubles = [Trouble(status, f"not {KEY}", "invalid_api_key")]
        with pytest.raises(StoreUnavailable, match="MEILI_API_KEY") as raised:
            await store.ready()
        assert KEY not in str(raised.value)
        assert len(server.asked) == 1


class TestTroubles:
    @pytest.mark.parametrize(
        "trouble",
        [Trouble(500), Trouble(503, code="too_many_search_requests"), Trouble(429), Trouble(0)],
        ids=["500", "503", "429", "broken"],
    )
    async def test_what_passes_is_asked_again(self, server, store, trouble):
        server.troubles = [trouble, trouble]
        assert await store.count("passages") == 7
        assert len(server.asked) == 3
        server.troubles = [trouble] * 3
        with pytest.raises(StoreUnavailable, match="Meilisearch"):
            await store.count("passages")
        assert len(server.asked) == 6

    async def test_silence_ends(self, server, monkeypatch):
        monkeypatch.setattr(meilisearch_requests, "RETRIES", 1)
        store = create_keyword_store(settings(server.url, keyword_timeout_seconds=0.3), None)
        server.troubles = [Trouble(silent=True)] * 2
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.3 s"):
            await store.ready()
        await store.close()
        assert len(server.asked) == 2

    async def test_a_silent_server_holds_up_nothing_else(self, server, monkeypatch):
        monkeypatch.setattr(meilisearch_requests, "RETRIES", 0)
        store = create_keyword_store(settings(server.url, keyword_timeout_seconds=0.5), None)
        server.troubles = [Trouble(silent=True)] * 40
        asking = [asyncio.ensure_future(store.ready()) for _ in range(40)]
        await asyncio.sleep(0.05)
        # The threads that other stores use are free.
        await asyncio.to_thread(lambda: None)
        assert not any(one.done() for one in asking)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(one) for one in answers} == {StoreUnavailable}
        await store.close()

    async def test_nobody_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            store = create_keyword_store(
                settings(f"http://127.0.0.1:{free.getsockname()[1]}"), None
            )
            for call in (store.ready(), store.ensure("passages"), store.count("passages")):
                with pytest.raises(StoreUnavailable, match="refused"):
                    await call
            await store.close()

    async def test_what_the_server_refuses_is_not_tried_again(self, server, store):
        server.troubles = [Trouble(400, "nonsense", "invalid_search_filter")]
        with pytest.raises(StoreUnavailable, match=r"nonsense.*invalid_search_filter"):
            await store.search("passages", OWNER, KeywordQuery(("a",)), limit=1)
        assert len(server.asked) == 1

    @pytest.mark.parametrize("text", ["<html>", "[]", "{}", ""])
    async def test_an_answer_of_something_else_is_an_outage(self, server, store, text):
        calls = [
            store.indexes(),
            store.count("passages"),
            store.search("passages", OWNER, KeywordQuery(("a",)), limit=1),
            store.delete("passages", OWNER),
        ]
        for call in calls:
            server.troubles = [Trouble(200, text=text)]
            with pytest.raises(StoreUnavailable, match="Meilisearch"):
                await call

    async def test_a_write_that_fails_is_said(self, server, store):
        server.tasks["documentAdditionOrUpdate"] = [("failed", "no_space_left_on_device")]
        with pytest.raises(StoreUnavailable, match="no_space_left_on_device"):
            await store.upsert("passages", [passage()])

    async def test_a_write_that_somebody_cancels_is_said(self, server, store):
        server.tasks["documentDeletion"] = [("canceled", None)]
        with pytest.raises(StoreUnavailable, match="not done"):
            await store.delete("passages", OWNER)

    async def test_a_write_that_takes_too_long_is_said(self, server):
        store = create_keyword_store(settings(server.url, keyword_write_seconds=0.2), None)
        server.tasks["documentAdditionOrUpdate"] = [("enqueued", None)]
        with pytest.raises(StoreUnavailable, match=r"write 0 within 0\.2 s"):
            await store.upsert("passages", [passage()])
        await store.close()

    async def test_an_outage_while_a_write_is_waited_for_passes(self, server, store):
        server.tasks["documentDeletion"] = [("enqueued", None), ("succeeded", None)]
        writing = asyncio.ensure_future(store.delete("passages", OWNER))
        while not server.of("delete_documents_by_filter"):
            await asyncio.sleep(0)
        server.troubles = [Trouble(503), Trouble(0)]
        await writing


class TestSwaps:
    async def test_one_that_is_not_there(self, server, store):
        server.tasks["indexSwap"] = [("failed", "index_not_found")]
        with pytest.raises(NotFound, match="passages or passages-next"):
            await store.swap("passages", "passages-next")

    async def test_it_is_asked_for_once_for_a_second_would_undo_it(self, server, store):
        server.troubles = [Trouble(0)]
        with pytest.raises(StoreUnavailable):
            await store.swap("passages", "passages-next")
        assert len(server.of("swap_indexes")) == 1

    @pytest.mark.parametrize(("status", "done"), [("canceled", False), ("succeeded", True)])
    async def test_one_that_is_late_is_withdrawn_or_was_done(self, server, status, done):
        store = create_keyword_store(settings(server.url, keyword_write_seconds=0.2), None)
        server.tasks["indexSwap"] = [("processing", None)]
        swapping = asyncio.ensure_future(store.swap("passages", "passages-next"))
        while not server.of("cancel_tasks"):
            await asyncio.sleep(0.001)
        server.tasks["indexSwap"] = [(status, None)]
        if done:
            await swapping
        else:
            with pytest.raises(StoreUnavailable, match="not done"):
                await swapping
        await store.close()
        assert server.of("cancel_tasks")[0].query == {"uids": "0"}


class TestWhichStore:
    @pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1", "127.0.0.1:7700"])
    def test_an_address_that_is_none_is_said_at_once(self, url):
        with pytest.raises(ValueError, match="MEILI_URL must be http"):
            create_keyword_store(SearchSettings(meili_url=url), None)

    async def test_without_an_address_it_is_postgresql(self, sessions):
        store = create_keyword_store(SearchSettings(), sessions)
        assert isinstance(store, PostgresKeywordStore)
        await store.ready()
        await store.close()
