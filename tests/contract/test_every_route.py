"""The API's contract, checked on every route that the OpenAPI document lists."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from api.errors import ERRORS, ErrorType
from db.engine import Sessions, session_scope
from tests.fixtures.api import prepare, sign_up, upload

Document = dict[str, Any]

PROBLEM = {
    "detail",
    "status_code",
    "error_type",
    "type",
    "title",
    "status",
    "instance",
    "request_id",
}
OPEN_ROUTES = {
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/token"),
    ("POST", "/api/auth/token/refresh"),
    ("GET", "/health"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
}
BARE_ROUTES = {("POST", "/api/auth/token")}

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/files/upload/{upload_id}/complete"): {"json": {}},
    ("PUT", "/api/files/upload/{upload_id}/parts/{number}"): {"content": b"x"},
}
"""Valid bodies of the routes that name something by its id; a new one must be added."""

VALUES = {"number": "1", "export_format": "srt"}
"""Values of path parameters that are no ids; a new one must be added."""

OWNED = {"file_id", "task_id", "upload_id"}
"""Path parameters that are ids of something owned; a new one must be added."""


OTHERS = {"user_id"}
"""Ids in paths of administrators' routes that are of nothing owned; a new one must be added."""


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: {**VALUES, **ids}[match[1]], path)


def random_ids() -> dict[str, str]:
    return {name: str(uuid.uuid4()) for name in OWNED | OTHERS}


def resolved(document: Document, schema: Document) -> Document:
    """A schema with its reference followed."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


@pytest.fixture
def document(app: FastAPI):
    return app.openapi()


def for_admins(operation: Document) -> bool:
    return "security" in operation and "403" in operation["responses"]


@pytest.fixture
def owned(document):
    """Routes that name something owned by its id."""
    return [
        (method, path)
        for method, path, operation in operations(document)
        if OWNED & set(re.findall(r"\{(\w+)\}", path)) and not for_admins(operation)
    ]


@pytest.fixture
def administrative(document):
    """Routes that only administrators may use."""
    return [
        (method, path) for method, path, operation in operations(document) if for_admins(operation)
    ]


async def become_admin(sessions: Sessions, client: httpx.AsyncClient) -> None:
    email = (await client.get("/api/auth/me")).json()["data"]["email"]
    async with session_scope(sessions) as session:
        await session.execute(
            text("""UPDATE "user" SET role = 'admin' WHERE email = :email"""), {"email": email}
        )


def check_problem(response: httpx.Response, status: int, error_type: str | None = None) -> None:
    body = response.json()
    assert body.keys() >= PROBLEM, response.request.url
    assert response.status_code == body["status"] == body["status_code"] == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert body["title"] == ERRORS[ErrorType(body["error_type"])].title
    assert body["type"] == f"/docs/errors#{body['error_type']}"
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["X-Request-ID"]
    if error_type:
        assert body["error_type"] == error_type


async def test_without_a_token_every_route_but_the_open_ones_is_closed(document, anonymous):
    for method, path, _ in operations(document):
        if (method, path) in OPEN_ROUTES:
            continue
        response = await anonymous.request(
            method, filled(path, random_ids()), **BODIES.get((method, path), {})
        )
        check_problem(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_random_id_is_not_found_on_every_route(owned, client):
    for method, path in owned:
        url = filled(path, random_ids())
        response = await client.request(method, url, **BODIES.get((method, path), {}))
        check_problem(response, 404, "not_found")


async def test_what_is_not_an_id_is_refused_on_every_route(owned, client):
    for method, path in owned:
        for value in ("1", "x" * 5000, "%00", "' OR 1=1"):
            url = filled(path, dict.fromkeys(OWNED, value))
            response = await client.request(method, url, **BODIES.get((method, path), {}))
            check_problem(response, 422, "validation_error")


async def test_what_belongs_to_somebody_else_is_like_a_random_id(
    owned, client, stranger, recording
):
    accepted = (await upload(client, recording)).json()["data"]
    opened = await prepare(client, b"some bytes")
    ids = {
        "file_id": accepted["file"]["id"],
        "task_id": accepted["task"]["id"],
        "upload_id": opened["upload_id"],
    }
    assert ids.keys() == OWNED
    assert owned

    def without_ids(response: httpx.Response) -> str:
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", response.text)
        return re.sub(r'"request_id":"\w+"', "", text)

    for method, path in owned:
        body = BODIES.get((method, path), {})
        theirs = await stranger.request(method, filled(path, ids), **body)
        nobodys = await stranger.request(method, filled(path, random_ids()), **body)
        check_problem(theirs, 404, "not_found")
        assert without_ids(theirs) == without_ids(nobodys), (method, path)
    # Nothing of it happened: the owner still has everything.
    assert (await client.get(f"/api/files/{ids['file_id']}")).status_code == 200
    state = (await client.get(f"/api/tasks/{ids['task_id']}")).json()["data"]["state"]
    assert state == "queued"
    assert (await client.get(f"/api/files/upload/{ids['upload_id']}")).status_code == 200


async def test_an_admin_has_no_silent_way_around(
    owned, client, app, anonymous, sessions, recording
):
    accepted = (await upload(client, recording)).json()["data"]
    pair = await sign_up(anonymous)
    async with session_scope(sessions) as session:
        await session.execute(text("""UPDATE "user" SET role = 'admin'"""))
    response = await anonymous.get(
        f"/api/files/{accepted['file']['id']}",
        headers={"Authorization": f"Bearer {pair['access_token']}"},
    )
    check_problem(response, 404, "not_found")


async def test_administrators_routes_are_forbidden_to_others(administrative, client):
    assert len(administrative) >= 7
    for method, path in administrative:
        for ids in (random_ids(), dict.fromkeys(OWNED | OTHERS, "1")):
            check_problem(await client.request(method, filled(path, ids)), 403, "forbidden")


async def test_administrators_routes_know_ids(administrative, client, sessions):
    await become_admin(sessions, client)
    for method, path in administrative:
        response = await client.request(method, filled(path, random_ids()))
        if "{" not in path:
            assert response.status_code == 200, path
            continue
        check_problem(response, 404, "not_found")
        wrong = filled(path, dict.fromkeys(OWNED | OTHERS, "1"))
        check_problem(await client.request(method, wrong), 422, "validation_error")


def test_every_route_says_what_it_is_and_how_it_refuses(document):
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        refusals = {status: r for status, r in operation["responses"].items() if status >= "400"}
        assert refusals, where
        for status, response in refusals.items():
            content = response["content"]
            if "application/json" in content:
                assert path.startswith("/health"), where
                continue
            examples = content["application/problem+json"]["examples"]
            for error_type, example in examples.items():
                assert ERRORS[ErrorType(error_type)].status == int(status), where
                assert example["value"].keys() >= PROBLEM, where
        if (method, path) not in OPEN_ROUTES:
            assert {"401", "404", "422"} & refusals.keys() >= {"401"}, where
            assert operation["security"], where
        if OWNED & set(re.findall(r"\{(\w+)\}", path)):
            assert {"401", "404", "422"} <= refusals.keys(), where


def test_every_json_answer_under_api_is_enveloped_and_has_an_example(document):
    seen = 0
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if not status.startswith("2") or "application/json" not in response.get("content", {}):
                continue
            if response["content"]["application/json"]["schema"] == {"type": "string"}:
                continue  # an export
            schema = resolved(document, response["content"]["application/json"]["schema"])
            data = schema
            if path.startswith("/api") and (method, path) not in BARE_ROUTES:
                assert set(schema["required"]) >= {"data", "message"}, path
                assert schema["properties"]["status"]["const"] == "success", path
                data = resolved(document, schema["properties"]["data"])
                seen += 1
            if "items" in data.get("properties", {}):
                pages = {"items", "total", "page", "page_size", "total_pages"}
                assert data["properties"].keys() == pages, path
                data = resolved(document, data["properties"]["items"]["items"])
            assert data.get("examples"), f"{method} {path}: no example"
    assert seen > 10


def test_every_body_has_an_example(document):
    for method, path, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            schema = content["application/json"]["schema"]
            schema = next((s for s in schema.get("anyOf", []) if "$ref" in s), schema)
            assert resolved(document, schema).get("examples"), f"{method} {path}"


def test_operations_have_unique_ids(document):
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_the_error_types_are_a_closed_list_in_the_document(document):
    assert set(document["components"]["schemas"]["ErrorType"]["enum"]) == set(ErrorType)
    error_type = document["components"]["schemas"]["Problem"]["properties"]["error_type"]
    assert error_type == {"$ref": "#/components/schemas/ErrorType"}


async def test_successes_look_like_their_schema(client, recording):
    accepted = await upload(client, recording)
    ids = accepted.json()["data"]
    for response in (
        accepted,
        await client.get("/api/auth/me"),
        await client.get("/api/files"),
        await client.get(f"/api/files/{ids['file']['id']}"),
        await client.get("/api/tasks"),
        await client.get(f"/api/tasks/{ids['task']['id']}"),
    ):
        body = response.json()
        assert body.keys() == {"data", "message", "status"}
        assert body["status"] == "success"
        assert body["message"]
