"""Objects are written down before they exist, and go when they are not needed."""

import asyncio
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import text

from api.dependencies import Services
from api.factory import create_app
from cluster.settings import MaintenanceSettings, ObjectSettings
from db.engine import session_scope
from db.models import Destination
from db.objects.keys import media_key, media_prefix
from db.objects.s3 import S3Objects
from pipelines import intake, leftovers, outbox
from serving.errors import MediaInvalid
from serving.speech import MediaProbe, MediaSource
from tests.fixtures.api import (
    LocalProber,
    complete,
    connect,
    part,
    prepare,
    send_all,
    send_part,
    upload,
)
from tests.integration.api.test_editing import until_someone_waits
from tests.integration.api.test_uploads import error_type, keys

UPLOAD = "/api/files/upload"


class Crossing(LocalProber):
    """A prober that is asked when the object is stored and the row is not; it never agrees."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.end = asyncio.Event()

    async def probe(self, source: MediaSource) -> MediaProbe:
        self.reached.set()
        await self.end.wait()
        raise MediaInvalid


async def notes(services: Services) -> dict[str, float]:
    """Which objects are noted, and in how many hours they are due."""
    hours = "extract(epoch FROM due_at - now())::float8 / 3600"
    async with session_scope(services.sessions) as session:
        query = f"SELECT subject, {hours} FROM outbox WHERE destination = 'objects'"
        rows = await session.execute(text(query))
        return dict(rows.all())


async def sweep(services: Services, *, due: bool = True) -> int:
    """What a runner does from time to time; `due`: when everything is."""
    if due:
        async with session_scope(services.sessions) as session:
            await session.execute(text("UPDATE outbox SET due_at = now()"))
    handler = leftovers.sweeper(services.sessions, services.objects)
    handlers = {Destination.objects: handler}
    return await outbox.drain(services.sessions, handlers, MaintenanceSettings())


@pytest.fixture
def crossing() -> Crossing:
    return Crossing()


@pytest.fixture
async def interrupted(services: Services, crossing: Crossing, client):
    """The same user at an application that stops between object and row."""
    async with connect(create_app(replace(services, prober=crossing))) as connected:
        connected.headers["Authorization"] = client.headers["Authorization"]
        yield connected


@pytest.fixture
async def storeless(services: Services, object_settings: ObjectSettings, client):
    """The same user at an application whose object store is away."""
    nowhere = object_settings.model_copy(update={"endpoint": "127.0.0.1:1"})
    async with connect(create_app(replace(services, objects=S3Objects(nowhere)))) as connected:
        connected.headers["Authorization"] = client.headers["Authorization"]
        yield connected


class TestBetweenObjectAndRow:
    """What is there while the prober is asked is what a crash at this moment leaves."""

    async def test_of_a_file_sent_whole(
        self, services, interrupted, crossing, recording, objects, client
    ):
        sending = asyncio.create_task(upload(interrupted, recording))
        await crossing.reached.wait()
        (key,) = await keys(objects)
        ((prefix, hours),) = (await notes(services)).items()
        assert key.startswith(prefix)
        assert hours == pytest.approx(24, abs=0.1)
        assert await sweep(services, due=False) == 0
        assert await keys(objects) == [key]
        assert await sweep(services) == 1
        assert (await keys(objects), await notes(services)) == ([], {})
        crossing.end.set()
        assert (await sending).status_code == 422
        assert (await upload(client, recording)).status_code == 201

    async def test_of_an_upload_in_parts(
        self, services, interrupted, crossing, long_recording, objects, client
    ):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        completing = asyncio.create_task(complete(interrupted, opened))
        await crossing.reached.wait()
        assert len(await keys(objects, "media/")) == 1
        assert sorted(key.partition("/")[0] for key in await notes(services)) == [
            "media",
            "uploads",
        ]
        async with session_scope(services.sessions) as session:
            await session.execute(text("UPDATE outbox SET due_at = now() WHERE subject ~ '^media'"))
        assert await sweep(services, due=False) == 1
        assert await keys(objects, "media/") == []
        crossing.end.set()
        assert (await completing).status_code == 422
        # The parts were none of this: the upload can be completed.
        assert (await complete(client, opened)).status_code == 201

    async def test_what_is_refused_is_gone_at_once(
        self, services, interrupted, crossing, recording, objects
    ):
        crossing.end.set()
        assert (await upload(interrupted, recording)).status_code == 422
        assert (await keys(objects), await notes(services)) == ([], {})

    async def test_what_is_accepted_stays(self, services, client, recording, objects):
        assert (await upload(client, recording)).status_code == 201
        assert await notes(services) == {}
        assert await sweep(services) == 0
        assert len(await keys(objects)) == 1

    async def test_a_commit_on_its_way_is_waited_for(self, services, objects):
        """Whoever asked for it lost their connection, and thinks that it failed."""
        user_id, file_id = uuid.uuid4(), uuid.uuid4()
        async with session_scope(services.sessions) as session:
            await intake.announce(session, user_id, file_id)
        await objects.put(media_key(user_id, file_id), b"x")
        async with session_scope(services.sessions) as session:
            await leftovers.forget(session, media_prefix(user_id, file_id))
            discarding = asyncio.create_task(
                intake.discard(services.sessions, objects, user_id, file_id)
            )
            await until_someone_waits(services.sessions)
        await discarding
        assert await keys(objects) == [media_key(user_id, file_id)]

    async def test_a_store_that_is_away_before_anything_is_stored(
        self, services, storeless, recording
    ):
        assert error_type(await upload(storeless, recording)) == (503, "store_unavailable")
        assert len(await notes(services)) == 1
        assert await sweep(services) == 1
        assert await notes(services) == {}


class TestUploads:
    async def test_an_upload_that_nobody_ends_is_swept_after_its_time(
        self, services, client, long_recording, objects
    ):
        opened = await prepare(client, long_recording)
        await send_part(client, opened["upload_id"], 1, part(long_recording, 1))
        ((prefix, hours),) = (await notes(services)).items()
        assert opened["upload_id"] in prefix
        assert hours == pytest.approx(services.api.upload_expiry_hours + 1, abs=0.1)
        assert await sweep(services, due=False) == 0
        async with session_scope(services.sessions) as session:
            await session.execute(text("UPDATE upload SET expires_at = now()"))
        assert await sweep(services) == 1
        assert (await keys(objects), await notes(services)) == ([], {})
        assert error_type(await complete(client, opened)) == (410, "upload_expired")
        late = await send_part(client, opened["upload_id"], 1, part(long_recording, 1))
        assert error_type(late) == (410, "upload_expired")
        assert (await client.delete(f"{UPLOAD}/{opened['upload_id']}")).status_code == 204

    async def test_completed_or_cancelled_ones_leave_no_note(
        self, services, client, long_recording, objects
    ):
        done, given_up = [await prepare(client, long_recording) for _ in range(2)]
        for opened in (done, given_up):
            await send_all(client, opened, long_recording)
        assert (await client.delete(f"{UPLOAD}/{given_up['upload_id']}")).status_code == 204
        assert (await complete(client, done)).status_code == 201
        assert await notes(services) == {}
        assert await keys(objects, "uploads/") == []
        assert len(await keys(objects, "media/")) == 1

    async def test_a_url_that_is_used_after_the_end_leaves_nothing(
        self, presigned_services: Services, client, recording, objects
    ):
        async with connect(create_app(presigned_services)) as direct:
            direct.headers["Authorization"] = client.headers["Authorization"]
            opened = await prepare(direct, recording)
            part_path = f"{UPLOAD}/{opened['upload_id']}/parts/1"
            url = (await direct.get(part_path)).json()["data"]["url"]
            assert (await direct.delete(f"{UPLOAD}/{opened['upload_id']}")).status_code == 204
        await objects.put(f"{next(iter(await notes(presigned_services)))}00001", recording)
        assert url
        assert list((await notes(presigned_services)).values()) == [pytest.approx(1, abs=0.1)]
        assert await sweep(presigned_services) == 1
        assert await keys(objects) == []

    async def test_a_cancellation_while_the_store_is_away_is_done_later(
        self, services, client, storeless, recording, objects
    ):
        opened = await prepare(client, recording)
        await send_all(client, opened, recording)
        assert (await storeless.delete(f"{UPLOAD}/{opened['upload_id']}")).status_code == 204
        assert len(await keys(objects)) == 1
        assert await sweep(services, due=False) == 1
        assert (await keys(objects), await notes(services)) == ([], {})


class TestDeletedFiles:
    async def test_nothing_is_left(self, services, client, recording, objects):
        file = (await upload(client, recording)).json()["data"]["file"]
        assert (await client.delete(f"/api/files/{file['id']}")).status_code == 204
        assert (await keys(objects), await notes(services)) == ([], {})

    async def test_while_the_store_is_away_the_file_is_gone_and_its_objects_go_later(
        self, services, client, storeless, recording, objects
    ):
        file = (await upload(client, recording)).json()["data"]["file"]
        assert (await storeless.delete(f"/api/files/{file['id']}")).status_code == 204
        assert (await client.get(f"/api/files/{file['id']}")).status_code == 404
        assert len(await keys(objects)) == 1
        assert await sweep(services, due=False) == 1
        assert (await keys(objects), await notes(services)) == ([], {})

    async def test_a_refused_deletion_notes_nothing(self, services, client, recording, objects):
        file = (await upload(client, recording)).json()["data"]["file"]
        async with session_scope(services.sessions) as session:
            await session.execute(text("UPDATE task SET state = 'running'"))
        assert (await client.delete(f"/api/files/{file['id']}")).status_code == 409
        assert await notes(services) == {}
        assert len(await keys(objects)) == 1
