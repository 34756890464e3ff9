"""The API's contract, checked on every route that the OpenAPI document lists."""

from httpx import AsyncClient

from api.errors import ERRORS, ErrorType
from tests.contract.document import document, json_body, operations, resolved
from tests.contract.test_authorisation import WHO, Who
from tests.fixtures.api import upload

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
BARE_ROUTES = {"POST /api/auth/token"}
PAGE = {"items", "total", "page", "page_size", "total_pages"}


def test_every_route_says_what_it_is_and_how_it_refuses():
    for operation in operations():
        assert operation.described["summary"], operation.name
        assert operation.described["description"], operation.name
        responses = operation.described["responses"]
        refusals = {status: told for status, told in responses.items() if status >= "400"}
        assert refusals, operation.name
        for status, response in refusals.items():
            content = response["content"]
            if "application/json" in content:
                assert operation.path.startswith("/health"), operation.name
                continue
            for error_type, example in content["application/problem+json"]["examples"].items():
                assert ERRORS[ErrorType(error_type)].status == int(status), operation.name
                assert example == {"$ref": f"#/components/examples/{error_type}"}, operation.name
        if operation.name not in WHO[Who.anybody]:
            assert "401" in refusals, operation.name
            assert operation.described["security"], operation.name


def test_every_json_answer_under_api_is_enveloped_and_has_an_example():
    seen = 0
    for operation in operations():
        for status, response in operation.described["responses"].items():
            if not status.startswith("2") or "application/json" not in response.get("content", {}):
                continue
            if "export" in operation.path:
                continue  # files, not answers
            data = schema = resolved(response["content"]["application/json"]["schema"])
            if operation.path.startswith("/api") and operation.name not in BARE_ROUTES:
                assert set(schema["required"]) >= {"data", "message"}, operation.name
                assert schema["properties"]["status"]["const"] == "success", operation.name
                data = resolved(schema["properties"]["data"])
                seen += 1
            if "total_pages" in data.get("properties", {}):
                assert data["properties"].keys() == PAGE, operation.name
                data = resolved(data["properties"]["items"]["items"])
            assert data.get("examples") or data.get("type") == "array", operation.name
    assert seen > 80


def test_every_body_has_an_example():
    for operation in operations():
        schema = json_body(operation)
        assert schema is None or schema.get("examples"), operation.name


def test_every_refusal_has_an_example():
    examples = document()["components"]["examples"]
    assert set(examples) <= set(ErrorType)
    assert all(example["value"].keys() >= PROBLEM for example in examples.values())


def test_operations_have_unique_ids():
    ids = [operation.described["operationId"] for operation in operations()]
    assert len(ids) == len(set(ids))


def test_the_error_types_are_a_closed_list_in_the_document():
    schemas = document()["components"]["schemas"]
    assert set(schemas["ErrorType"]["enum"]) == set(ErrorType)
    error_type = schemas["Problem"]["properties"]["error_type"]
    assert error_type["$ref"] == "#/components/schemas/ErrorType"


async def test_successes_look_like_their_schema(client: AsyncClient, recording: bytes):
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
