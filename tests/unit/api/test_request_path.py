"""The pieces that every request passes: envelope, transaction, routes that cannot be built."""

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from api.dependencies import Session
from api.envelope import EnvelopeRoute
from api.error_handlers import install
from api.errors import ApiError, ErrorType, RecordedError
from api.pagination import Page, Paging


class Thing(BaseModel):
    name: str


class Recorder:
    """A session that only notes what is done with it."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __call__(self):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error) -> None:
        self.log.append("closed")

    async def commit(self) -> None:
        self.log.append("commit")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(recorder: Recorder) -> TestClient:
    class Services:
        sessions = recorder

    router = APIRouter(prefix="/api", route_class=EnvelopeRoute)

    @router.get("/thing", response_description="Here it is")
    async def thing() -> Thing:
        return Thing(name="it")

    @router.get("/things")
    async def things(paging: Paging) -> Page[Thing]:
        return paging.of([Thing(name="one")], 41)

    @router.delete("/thing", status_code=204)
    async def remove() -> None:
        return None

    @router.post("/write")
    async def write(session: Session, how: str) -> Thing:
        recorder.log.append("endpoint")
        if how == "refused":
            raise ApiError(ErrorType.conflict, "no")
        if how == "recorded":
            raise RecordedError(ErrorType.conflict, "no, and noted")
        if how == "broken":
            raise RuntimeError
        if how == "unserialisable":
            return object()  # type: ignore[return-value]
        return Thing(name="written")

    app = FastAPI()
    app.state.services = Services()
    outer = APIRouter()
    outer.include_router(router)
    app.include_router(outer)
    install(app)

    @app.middleware("http")
    async def watch(request, call_next):
        response = await call_next(request)
        recorder.log.append("answer")
        return response

    return TestClient(app, raise_server_exceptions=False)


def test_the_data_is_put_into_the_envelope_once(client):
    assert client.get("/api/thing").json() == {
        "data": {"name": "it"},
        "message": "Here it is",
        "status": "success",
    }


def test_a_list_is_a_page(client):
    data = client.get("/api/things", params={"page": 2, "page_size": 20}).json()["data"]
    assert data == {
        "items": [{"name": "one"}],
        "total": 41,
        "page": 2,
        "page_size": 20,
        "total_pages": 3,
    }


def test_nothing_stays_nothing(client):
    answer = client.delete("/api/thing")
    assert (answer.status_code, answer.content) == (204, b"")


def test_the_document_shows_the_envelope(client):
    schema = client.app.openapi()["components"]["schemas"]["Envelope_Thing_"]
    assert set(schema["properties"]) == {"data", "message", "status"}


@pytest.mark.parametrize(
    ("how", "log"),
    [
        ("fine", ["endpoint", "commit", "closed", "answer"]),
        ("refused", ["endpoint", "closed", "answer"]),
        ("recorded", ["endpoint", "commit", "closed", "answer"]),
        ("broken", ["endpoint", "closed"]),
        ("unserialisable", ["endpoint", "closed"]),
    ],
)
def test_a_request_commits_before_it_answers_and_only_if_it_succeeds(client, recorder, how, log):
    client.post("/api/write", params={"how": how})
    assert recorder.log == log
