"""Searches in summaries, and figures about them: the newest ones of one's own files."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from cluster.settings import LlmProvider
from db.engine import session_scope
from db.models import Summary, Transcript
from tests.fixtures.summaries import content, summarized
from tests.fixtures.transcripts import conversation
from tests.integration.api.test_uploads import error_type

SEARCH = "/api/summarization/search"
ANALYTICS = "/api/summarization/analytics"


async def search(client, query: str | None = None, page: str = "", **filters) -> list[dict]:
    body = {**({"query": query} if query else {}), **filters}
    answer = await client.post(f"{SEARCH}{page}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["items"]


async def made(sessions, client, bluf: str, **values) -> str:
    """A file whose summary has this bottom line and, but for that, says the same of all."""
    file_id = await conversation(sessions, client)
    said = content(
        bluf=bluf,
        brief_summary="",
        major_topics=values.pop("topics", []),
        action_items=values.pop("actions", []),
        key_decisions=[],
        speakers_analysis=values.pop("speakers", []),
        follow_up_items=[],
    )
    await summarized(sessions, file_id, said, **values)
    return file_id


async def dated(sessions, file_id: str, moment: datetime) -> None:
    async with session_scope(sessions) as session:
        await session.execute(
            update(Summary)
            .where(Summary.media_file_id == uuid.UUID(file_id))
            .values(created_at=moment)
        )


class TestSearch:
    async def test_words_and_the_beginnings_of_words(self, client, sessions):
        launch = await made(sessions, client, "The Launching of Orion moves to May.")
        await made(sessions, client, "The budget is fine.")
        [hit] = await search(client, "orion launch")
        assert (hit["file_id"], hit["version"], hit["is_stale"]) == (launch, 1, False)
        assert hit["highlights"] == [
            "The <mark>Launching</mark> of <mark>Orion</mark> moves to May."
        ]
        assert await search(client, "orion budget") == []
        # Not in the middle of one.
        assert await search(client, "aunch") == []

    async def test_all_of_a_summary_is_searched(self, client, sessions):
        file_id = await conversation(sessions, client)
        await summarized(sessions, file_id)
        for words in ("marketing", "tests late", "SPEAKER_01", "beta extended", "campaign"):
            assert [hit["file_id"] for hit in await search(client, words)] == [file_id], words

    async def test_what_is_marked_is_html_and_nothing_else_is(self, client, sessions):
        await made(sessions, client, 'Call <script>alert("orion")</script> & <mark>co</mark>.')
        [hit] = await search(client, "Orion")
        [highlight] = hit["highlights"]
        assert highlight == (
            "Call &lt;script&gt;alert(&quot;<mark>orion</mark>&quot;)&lt;/script&gt; &amp; "
            "&lt;mark&gt;co&lt;/mark&gt;."
        )

    async def test_scripts_without_spaces(self, client, sessions):
        file_id = await made(sessions, client, "予算会議は来週に延期されました。")
        [hit] = await search(client, "会議")
        assert hit["file_id"] == file_id
        assert hit["highlights"] == ["予算<mark>会議</mark>は来週に延期されました。"]

    async def test_older_versions_are_not_found(self, client, sessions):
        file_id = await made(sessions, client, "The old plan.")
        await summarized(sessions, file_id, content(bluf="The new plan."), version=2)
        [hit] = await search(client, "plan")
        assert hit["version"] == 2
        assert await search(client, "old") == []

    async def test_filters(self, client, sessions):
        task = content()["action_items"]
        busy = await made(sessions, client, "With tasks.", actions=task)
        idle = await made(sessions, client, "Without tasks.")
        await dated(sessions, idle, datetime(2030, 1, 31, 12, tzinfo=UTC))
        assert [hit["file_id"] for hit in await search(client, "tasks")] != []
        [hit] = await search(client, has_pending_actions=True)
        assert (hit["file_id"], hit["action_items"], hit["highlights"]) == (busy, 1, [])
        [hit] = await search(client, has_pending_actions=False)
        assert hit["file_id"] == idle
        for period in (
            {"date_from": "2030-01-31", "date_to": "2030-01-31"},
            {"date_from": "2030-01-31T12:00:00Z"},
        ):
            [hit] = await search(client, **period)
            assert hit["file_id"] == idle
        assert len(await search(client, date_to="2030-01-30")) == 1
        assert len(await search(client, speakers=["ada", "SPEAKER_01"])) == 2
        assert await search(client, speakers=["Ada", "Nobody"]) == []

    async def test_the_best_come_first_then_the_newest(self, client, sessions):
        once = await made(sessions, client, "Orion, and much besides that is about other things.")
        twice = await made(sessions, client, "Orion.")
        assert [hit["file_id"] for hit in await search(client, "orion")] == [twice, once]
        now = datetime.now(UTC)
        await dated(sessions, once, now + timedelta(hours=1))
        assert [hit["file_id"] for hit in await search(client)] == [once, twice]
        [second] = await search(client, page="?page=2&page_size=1")
        assert second["file_id"] == twice

    async def test_others_find_nothing(self, client, stranger, sessions):
        await made(sessions, client, "Orion.")
        assert await search(stranger, "orion") == []
        assert await search(stranger) == []

    async def test_a_stale_one_says_so(self, client, sessions):
        await made(sessions, client, "Orion.")
        async with session_scope(sessions) as session:
            await session.execute(update(Transcript).values(version=9))
        [hit] = await search(client, "orion")
        assert hit["is_stale"]

    @pytest.mark.parametrize(
        "body",
        [
            {"query": "?!"},
            {"query": ""},
            {"query": "x" * 201},
            {"speakers": ["a"] * 21},
            {"date_from": "2030-01-02", "date_to": "2030-01-01"},
            {"date_from": "soon"},
            {"size": 10},
        ],
    )
    async def test_what_is_refused(self, client, body):
        assert error_type(await client.post(SEARCH, json=body)) == (422, "validation_error")


class TestAnalytics:
    async def test_figures(self, client, stranger, sessions):
        ada = {**content()["speakers_analysis"][0], "talk_time_percentage": 60.0}
        topic = content()["major_topics"][0]
        task = content()["action_items"]
        first = await made(
            sessions,
            client,
            "One.",
            speakers=[ada],
            topics=[topic, {**topic, "topic": "Budget"}],
            actions=task * 2,
        )
        await made(
            sessions,
            client,
            "Two.",
            speakers=[{**ada, "speaker": "ADA", "talk_time_percentage": 40.0}],
            topics=[{**topic, "topic": "launch DATE "}],
            provider=LlmProvider.openai,
            model="large",
            seconds=3.0,
        )
        # An older version counts for what it took only.
        await summarized(sessions, first, content(), version=0, transcript_version=0)
        await dated(sessions, first, datetime(2030, 1, 31, 23, 30, tzinfo=UTC))
        await made(sessions, stranger, "Somebody else's.", speakers=[ada], topics=[topic])
        told = (await client.get(ANALYTICS)).json()["data"]
        assert told["totals"] == {
            "total_summaries": 2,
            "total_versions": 3,
            "stale_summaries": 0,
            "total_action_items": 2,
        }
        assert told["speaker_stats"] == [
            {"speaker": "ADA", "summaries": 2, "mean_talk_time_percentage": 50.0}
        ]
        assert told["common_topics"] == [
            {"topic": "Launch date", "count": 2},
            {"topic": "Budget", "count": 1},
        ]
        assert {"date": "2030-01-31", "summaries": 1, "action_items": 2} in told[
            "action_items_trend"
        ]
        assert told["summary_statistics"] == {
            "prompt_tokens": 300,
            "completion_tokens": 30,
            "calls": 6,
            "seconds": 6.0,
            "mean_seconds": 2.0,
        }
        assert [(one["model"], one["summaries"]) for one in told["provider_usage"]] == [
            ("small", 2),
            ("large", 1),
        ]

    async def test_of_a_period(self, client, sessions):
        file_id = await made(sessions, client, "One.")
        await dated(sessions, file_id, datetime(2030, 1, 31, tzinfo=UTC))
        await made(sessions, client, "Two.")
        path = f"{ANALYTICS}?date_from=2030-01-31&date_to=2030-01-31"
        told = (await client.get(path)).json()["data"]
        assert told["totals"]["total_summaries"] == 1
        assert [one["date"] for one in told["action_items_trend"]] == ["2030-01-31"]
        wrong = await client.get(f"{ANALYTICS}?date_from=2030-02-01&date_to=2030-01-31")
        assert error_type(wrong) == (422, "validation_error")

    async def test_of_nothing(self, client):
        told = (await client.get(ANALYTICS)).json()["data"]
        assert told["totals"]["total_summaries"] == 0
        assert told["summary_statistics"]["mean_seconds"] is None
        assert (told["speaker_stats"], told["common_topics"], told["provider_usage"]) == (
            [],
            [],
            [],
        )
