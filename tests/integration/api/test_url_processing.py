"""Addresses at the door: what is refused at once, what becomes a task, quotas, playlists."""

import asyncio
import uuid

import pytest
from sqlalchemy import text, update

from cluster.egress import Resolve
from cluster.settings import DownloadSettings, EgressSettings
from db.engine import session_scope
from db.models import FileStatus, MediaFile, Task, TaskKind, TaskState
from pipelines import queue
from pipelines.downloads.formats import Quality
from pipelines.downloads.found import Entry, Playlist
from pipelines.downloads.orders import Order
from pipelines.downloads.playlists import begin_entries
from tests.fixtures.api import sign_up, upload

ROUTE = "/api/files/url-processing"
ADDRESS = "https://media.example/talk.mp4"


@pytest.fixture
def resolver() -> Resolve:
    async def resolve(host: str, port: int) -> list[str]:
        known = {"media.example": "1.1.1.1", "intranet.example": "10.0.0.1"}
        if host not in known:
            raise OSError(host)
        return [known[host]]

    return resolve


@pytest.fixture
def egress_settings() -> EgressSettings:
    return EgressSettings()


async def send(client, url: str = ADDRESS, key: str | None = None, **more):
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post(ROUTE, json={"url": url, **more}, headers=headers)


async def test_an_address_becomes_a_task(client):
    collection = (await client.post("/api/collections", json={"name": "Talks"})).json()["data"]
    answer = await send(
        client,
        "HTTPS://Media.Example:443/talk.mp4#t=4",
        video_quality="720p",
        audio_quality="192",
        tags=["Talk", "river", "talk"],
        collection_ids=[collection["id"]] * 2,
        options={"language": "de", "max_speakers": 2},
    )
    assert answer.status_code == 202, answer.text
    task = answer.json()["data"]
    assert (task["kind"], task["state"], task["media_file_id"]) == ("download", "queued", None)
    assert task["options"] == {
        "url": ADDRESS,
        "quality": {"video": "720p", "audio_only": False, "audio": "192"},
        "tags": ["talk", "river"],
        "collection_ids": [collection["id"]],
        "transcription": {"task": "transcribe", "language": "de", "max_speakers": 2},
        "title": None,
    }
    [listed] = (await client.get("/api/tasks")).json()["data"]["items"]
    assert listed["id"] == task["id"]
    one = (await client.get(f"{ROUTE}/{task['id']}")).json()["data"]
    assert (one["task"]["id"], one["entries"]) == (task["id"], {})


async def test_what_is_left_out_is_as_the_user_prefers(client):
    section = "/api/user-settings/download"
    changes = {"video_quality": "480p", "audio_only": True}
    assert (await client.put(section, json=changes)).status_code == 200
    quality = (await send(client)).json()["data"]["options"]["quality"]
    assert quality == {"video": "480p", "audio_only": True, "audio": "best"}
    other = await send(client, "https://media.example/2", audio_only=False)
    assert other.json()["data"]["options"]["quality"]["audio_only"] is False


@pytest.mark.parametrize(
    "url",
    [
        "https://intranet.example/talk.mp4",
        "http://127.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "https://media.example:22/",
        "https://user:password@media.example/",
        "https://nowhere.example/",
        "ftp://media.example/talk.mp4",
        "file:///etc/passwd",
        "ytsearch:rivers",
        "-o/tmp/x",
        "media.example/talk.mp4",
        # More characters than are stored, once they are encoded.
        "https://media.example/" + "ä" * 1000,
        "https://" + "a." * 500 + "example/",
    ],
)
async def test_addresses_that_are_refused(client, url):
    answer = await send(client, url)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error_type"] == "url_refused"
    assert "password" not in answer.json()["detail"].replace("name or password", "")
    assert (await client.get("/api/tasks")).json()["data"]["total"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": "   "},
        {"url": "https://media.example/\x00"},
        {"url": "https://media.example/\n"},
        {"url": "https://media.example/" + "x" * 2048},
        {"url": ADDRESS, "video_quality": "4k"},
        {"url": ADDRESS, "audio_quality": 192},
        {"url": ADDRESS, "tags": ["\x00"]},
        {"url": ADDRESS, "tags": ["x" * 51]},
        {"url": ADDRESS, "tags": ["x"] * 51},
        {"url": ADDRESS, "collection_ids": ["1"]},
        {"url": ADDRESS, "options": {"min_speakers": 3, "max_speakers": 2}},
    ],
)
async def test_bodies_that_are_refused(client, body):
    answer = await client.post(ROUTE, json=body)
    if body.get("url", "").endswith("\n"):
        # Blanks around an address are dropped.
        assert answer.status_code == 202
        return
    assert (answer.status_code, answer.json()["error_type"]) == (422, "validation_error")


async def test_an_unknown_language_is_refused(client):
    answer = await send(client, options={"language": "xx"})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "language_unsupported")


async def test_somebody_elses_collection_is_like_none(client, stranger):
    made = await stranger.post("/api/collections", json={"name": "Theirs"})
    for collection_id in (made.json()["data"]["id"], str(uuid.uuid4())):
        answer = await send(client, collection_ids=[collection_id])
        assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


async def test_the_same_address_is_fetched_once_however_close_the_race(client, stranger):
    spellings = [ADDRESS, "https://MEDIA.example:443/talk.mp4", f"{ADDRESS}#t=1", ADDRESS]
    answers = await asyncio.gather(*(send(client, url) for url in spellings))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    [made] = [answer.json()["data"] for answer in answers if answer.status_code == 202]
    for refused in (answer.json() for answer in answers if answer.status_code == 409):
        assert (refused["error_type"], refused["task_id"]) == ("duplicate_file", made["id"])
    # Others know nothing of it.
    assert (await send(stranger)).status_code == 202


async def test_a_recording_that_is_there_is_not_fetched_again(client, recording, sessions):
    file_id = (await upload(client, recording)).json()["data"]["file"]["id"]

    async def now(**values) -> None:
        async with session_scope(sessions) as session:
            await session.execute(update(MediaFile).values(values))

    await now(source_url=ADDRESS)
    answer = await send(client)
    assert (answer.status_code, answer.json()["error_type"]) == (409, "duplicate_file")
    assert answer.json()["existing_file_id"] == file_id
    await now(status=FileStatus.failed)
    assert (await send(client)).status_code == 202


async def test_a_repeated_request_has_one_effect(client):
    first = await send(client, key="one")
    again = await send(client, key="one")
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await send(client, "https://media.example/other", key="one")
    assert other.json()["error_type"] == "idempotency_key_reused"


class TestQuota:
    @pytest.fixture
    def download_settings(self) -> DownloadSettings:
        return DownloadSettings(per_hour=3, per_day=4, max_open=2)

    async def finish(self, sessions, **values) -> None:
        async with session_scope(sessions) as session:
            finished = {"state": TaskState.failed, **values}
            await session.execute(update(Task).values(finished))

    async def test_no_more_are_open_than_the_limit(self, client, stranger, sessions):
        urls = [f"https://media.example/{n}" for n in range(6)]
        answers = await asyncio.gather(*(send(client, url) for url in urls))
        assert sorted(answer.status_code for answer in answers) == [202] * 2 + [429] * 4
        assert (await send(stranger)).status_code == 202
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["error_type"] == "quota_exceeded"
        assert int(refused.headers["Retry-After"]) > 0

    async def test_no_more_in_an_hour_and_a_day_than_the_limits(self, client, sessions):
        for number in range(3):
            assert (await send(client, f"https://media.example/{number}")).status_code == 202
            await self.finish(sessions)
        refused = await send(client, "https://media.example/3")
        assert (refused.status_code, refused.json()["error_type"]) == (429, "quota_exceeded")
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        quota = (await client.get(f"{ROUTE}/quota")).json()["data"]
        assert quota == {
            "per_hour": 3,
            "used_this_hour": 3,
            "per_day": 4,
            "used_today": 3,
            "max_open": 2,
            "open": 0,
        }
        two_hours_ago = Task.created_at - queue._seconds(7200)
        await self.finish(sessions, created_at=two_hours_ago)
        assert (await send(client, "https://media.example/4")).status_code == 202
        await self.finish(sessions)
        refused = await send(client, "https://media.example/5")
        assert "day" in refused.json()["detail"]
        # Four of four: the oldest of them must leave.
        assert 79_000 < int(refused.headers["Retry-After"]) <= 79_200

    async def test_a_file_that_is_deleted_does_not_give_quota_back(
        self, client, sessions, recording
    ):
        task_id = (await send(client)).json()["data"]["id"]
        file_id = (await upload(client, recording)).json()["data"]["file"]["id"]
        fetched = {"state": TaskState.completed, "media_file_id": uuid.UUID(file_id)}
        async with session_scope(sessions) as session:
            await session.execute(update(Task).where(Task.id == uuid.UUID(task_id)).values(fetched))
        assert (await client.delete(f"/api/files/{file_id}")).status_code == 204
        quota = (await client.get(f"{ROUTE}/quota")).json()["data"]
        assert (quota["used_this_hour"], quota["used_today"]) == (1, 1)
        left = (await client.get(f"/api/tasks/{task_id}")).json()["data"]
        assert (left["state"], left["media_file_id"]) == ("completed", None)


async def playlist(sessions, client) -> tuple[str, list[str]]:
    """A playlist with three entries: one waits, one runs, one has failed."""
    user_id = uuid.UUID((await client.get("/api/auth/me")).json()["data"]["id"])
    states = (TaskState.queued, TaskState.running, TaskState.failed)
    async with session_scope(sessions) as session:
        parent = await queue.submit(
            session, user_id=user_id, media_file_id=None, kind=TaskKind.playlist
        )
        children = [
            await queue.submit(
                session,
                user_id=user_id,
                media_file_id=None,
                kind=TaskKind.download,
                parent_id=parent.id,
                delay_seconds=place * 100,
            )
            for place in range(3)
        ]
        parent.state = TaskState.completed
        for child, state in zip(children, states, strict=True):
            child.state = state
    return str(parent.id), [str(child.id) for child in children]


async def test_a_playlist_shows_its_entries(client, stranger, sessions):
    task_id, entries = await playlist(sessions, client)
    shown = (await client.get(f"{ROUTE}/{task_id}")).json()["data"]
    assert shown["entries"] == {"queued": 1, "running": 1, "failed": 1}
    page = (await client.get(f"{ROUTE}/{task_id}/entries", params={"page_size": 2})).json()["data"]
    assert [each["id"] for each in page["items"]] == entries[:2]
    assert page["total"] == 3
    assert {each["parent_id"] for each in page["items"]} == {task_id}
    for path in (task_id, f"{task_id}/entries", entries[0]):
        assert (await stranger.get(f"{ROUTE}/{path}")).status_code == 404


async def test_a_playlist_is_cancelled_with_what_is_not_over(client, stranger, sessions):
    task_id, _ = await playlist(sessions, client)
    assert (await stranger.post(f"{ROUTE}/{task_id}/cancel")).status_code == 404
    for _ in range(2):
        answer = await client.post(f"{ROUTE}/{task_id}/cancel")
        assert answer.status_code == 200, answer.text
        states = answer.json()["data"]["entries"]
        assert states == {"cancelled": 1, "cancelling": 1, "failed": 1}


async def blocked(sessions) -> None:
    """Until somebody waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    found = 0
    while not found:
        async with session_scope(sessions) as session:
            found = await session.scalar(text(f"{waiting} AND datname = current_database()"))


async def test_entries_that_are_being_begun_are_cancelled_too(client, sessions):
    user_id = uuid.UUID((await client.get("/api/auth/me")).json()["data"]["id"])
    async with session_scope(sessions) as session:
        order = Order("https://media.example/feed.xml", Quality(), [], [], {})
        parent = await queue.submit(
            session,
            user_id=user_id,
            media_file_id=None,
            kind=TaskKind.playlist,
            options=order.stored(),
        )
        parent.state = TaskState.running
    found = Playlist("Talks", [Entry(f"https://media.example/{n}", None) for n in range(3)], True)
    async with asyncio.timeout(20):
        async with session_scope(sessions) as session:
            held = queue.Claim(parent.id, parent.fence)
            await begin_entries(session, held, found, DownloadSettings())
            cancelling = asyncio.create_task(client.post(f"{ROUTE}/{parent.id}/cancel"))
            await blocked(sessions)
        answer = await cancelling
    assert answer.json()["data"]["entries"] == {"cancelled": 3}


async def test_a_task_that_is_no_download_is_not_found_here(client, recording):
    task_id = (await upload(client, recording)).json()["data"]["task"]["id"]
    assert (await client.get(f"{ROUTE}/{task_id}")).status_code == 404
    assert (await client.get(f"/api/tasks/{task_id}")).status_code == 200


async def test_a_download_that_waits_is_cancelled_like_any_task(client):
    task_id = (await send(client)).json()["data"]["id"]
    answer = await client.post(f"/api/tasks/{task_id}/cancel")
    assert answer.json()["data"]["state"] == "cancelled"
    # It is over: the address may be sent again.
    assert (await send(client)).status_code == 202


async def test_without_a_token_nothing_is_fetched(anonymous, app):
    assert (await send(anonymous)).status_code == 401
    pair = await sign_up(anonymous)
    anonymous.headers["Authorization"] = f"Bearer {pair['access_token']}"
    assert (await send(anonymous)).status_code == 202
