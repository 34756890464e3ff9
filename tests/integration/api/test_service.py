"""Health, metrics, documentation, request ids, and what happens when something breaks."""

import asyncio
import re
import socket
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from api.dependencies import Services
from api.errors import ErrorType
from api.factory import create_app
from cluster.settings import DatabaseSettings, ObjectSettings
from db.engine import create_engine, create_sessions
from db.objects.s3 import S3Objects
from serving.errors import SpeechUnavailable
from tests.fixtures.api import connect, upload
from tests.integration.api.test_uploads import error_type, keys, rows


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class TestHealth:
    async def test_every_part_answers(self, anonymous):
        answer = await anonymous.get("/health")
        body = answer.json()
        assert (answer.status_code, body["status"]) == (200, "up")
        stores = {"database", "objects", "vectors", "keywords"}
        deployments = {"transcriber", "speaker_embedder"}
        assert set(body["parts"]) == stores | {"ray"} | deployments
        assert all(part["seconds"] >= 0 for part in body["parts"].values())

    async def test_a_deployment_that_is_down_is_named(self, anonymous, speech_health):
        speech_health.answer["aligner"] = {"status": "down", "error": "10.0.0.7 did not answer"}
        answer = await anonymous.get("/health")
        assert answer.status_code == 503
        assert answer.json()["parts"]["aligner"]["status"] == "down"
        assert answer.json()["parts"]["transcriber"]["status"] == "up"
        assert "10.0.0.7" not in answer.text
        assert (await anonymous.get("/health/ready")).status_code == 200

    async def test_a_database_that_is_away(self, services: Services, closed_port):
        away = DatabaseSettings(url=SecretStr(f"postgresql://x@127.0.0.1:{closed_port}/x"))
        broken = replace(services, sessions=create_sessions(create_engine(away)))
        async with connect(create_app(broken)) as client:
            answer = await client.get("/health/ready")
            assert answer.status_code == 503
            assert answer.json()["parts"]["database"]["status"] == "down"
            form = {"username": "a@b", "password": "x"}
            login = await client.post("/api/auth/login", data=form)
        assert error_type(login) == (503, "store_unavailable")
        assert login.headers["Retry-After"]
        assert str(closed_port) not in login.text

    async def test_an_object_store_that_is_away(
        self, services: Services, closed_port, client, recording, sessions
    ):
        settings = ObjectSettings(
            endpoint=f"127.0.0.1:{closed_port}",
            access_key=SecretStr("a"),
            secret_key=SecretStr("b"),
        )
        broken = replace(services, objects=S3Objects(settings))
        async with connect(create_app(broken)) as other:
            assert (await other.get("/health/ready")).status_code == 503
            other.headers["Authorization"] = client.headers["Authorization"]
            answer = await upload(other, recording)
        assert error_type(answer) == (503, "store_unavailable")
        assert await rows(sessions, "media_file") == 0


async def test_speech_that_is_away_refuses_the_upload_and_keeps_nothing(
    client, recording, prober, objects, sessions, monkeypatch
):
    async def silent(source):
        raise SpeechUnavailable("Preparer did not answer at 10.0.0.7")

    monkeypatch.setattr(prober, "probe", silent)
    answer = await upload(client, recording)
    assert error_type(answer) == (503, "speech_unavailable")
    assert "10.0.0.7" not in answer.text
    assert await keys(objects) == []
    assert await rows(sessions, "media_file") == 0


async def test_a_client_that_hangs_up_stops_nothing_that_was_begun(
    app, client, recording, prober, sessions, monkeypatch
):
    probing = asyncio.Event()
    probe = prober.probe

    async def slow(source):
        probing.set()
        await asyncio.sleep(0.1)
        return await probe(source)

    monkeypatch.setattr(prober, "probe", slow)
    request = asyncio.create_task(upload(client, recording))
    await probing.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    async with asyncio.timeout(10):
        while not await rows(sessions, "task"):
            await asyncio.sleep(0.05)
    assert await rows(sessions, "media_file") == 1


async def test_metrics_count_by_route_and_state(client, recording):
    file_id = (await upload(client, recording)).json()["data"]["file"]["id"]
    await client.get(f"/api/files/{file_id}")
    answer = await client.get("/metrics")
    assert 'rayscribe_tasks{state="queued"} 1.0' in answer.text
    counted = (
        'rayscribe_http_requests_total{method="GET",route="/api/files/{file_id}",status="200"}'
    )
    assert f"{counted} 1.0" in answer.text
    assert file_id not in answer.text


class TestRequestIds:
    async def test_a_sane_one_is_echoed(self, anonymous):
        answer = await anonymous.get("/api/auth/me", headers={"X-Request-ID": "trace-1.A_b"})
        assert answer.headers.get_list("X-Request-ID") == ["trace-1.A_b"]
        assert answer.json()["request_id"] == "trace-1.A_b"

    @pytest.mark.parametrize("given", ["x" * 129, "a b", "<script>", "a;b=c", ""])
    async def test_another_one_is_replaced(self, anonymous, given):
        answer = await anonymous.get("/api/auth/me", headers={"X-Request-ID": given})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


class TestRefusals:
    @pytest.mark.parametrize("path", ["/nowhere", "/api/files/x/y/z", "/api", "/api/files/"])
    async def test_unknown_paths(self, anonymous, path):
        answer = await anonymous.get(path, follow_redirects=False)
        assert error_type(answer) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_wrong_methods(self, anonymous):
        answer = await anonymous.patch("/api/files")
        assert error_type(answer) == (405, "method_not_allowed")
        assert "GET" in answer.headers["allow"]

    @pytest.mark.parametrize(
        ("content", "media_type", "status"),
        [
            ("{", "application/json", 422),
            ("[]", "application/json", 422),
            ("null", "application/json", 422),
            ("", "application/json", 422),
            ("a=b", "application/x-www-form-urlencoded", 422),
            ('{"email": NaN}', "application/json", 422),
            ("[" * 100_000, "application/json", 400),
            (b"\xff\xfe", "application/json", 422),
        ],
    )
    async def test_bodies_that_are_none(self, anonymous, content, media_type, status):
        answer = await anonymous.post(
            "/api/auth/register", content=content, headers={"Content-Type": media_type}
        )
        assert answer.status_code == answer.json()["status"] == status
        assert answer.json()["error_type"] in {"validation_error", "bad_request"}

    async def test_a_multipart_body_without_end(self, client):
        answer = await client.post(
            "/api/files/upload",
            content=b"--x\r\nContent-Disposition: form-data; name=",
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
        assert answer.status_code in {400, 422}
        assert answer.json()["request_id"]

    async def test_what_nobody_foresaw_is_a_plain_500(self, services: Services):
        app = create_app(services)

        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("password=hunter2 at /srv/secret")

        async with connect(app) as client:
            answer = await client.get("/broken")
        assert error_type(answer) == (500, "internal_error")
        assert "hunter2" not in answer.text
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"]


class TestDocumentation:
    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    async def test_it_asks_nobody_else(self, anonymous, path):
        page = (await anonymous.get(path)).text
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
        for asset in re.findall(r"""(?:src|href)=["']([^"']+)""", page):
            assert (await anonymous.get(asset)).status_code == 200, asset

    async def test_the_type_of_an_error_leads_to_its_description(self, anonymous):
        type_uri = (await anonymous.get("/nowhere")).json()["type"]
        path, _, anchor = type_uri.partition("#")
        page = (await anonymous.get(path)).text
        assert f'id="{anchor}"' in page
        assert all(f'id="{error_type}"' in page for error_type in ErrorType)

    async def test_openapi_is_served(self, anonymous: httpx.AsyncClient):
        assert (await anonymous.get("/openapi.json")).json()["info"]["title"] == "rayscribe"
