"""The OpenAPI document as the tests of the contract read it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import FastAPI

from api.factory import ROUTERS
from api.openapi import describe

Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """A method of a path."""

    method: str
    path: str
    described: Json

    @property
    def name(self) -> str:
        """How tables and failures call it."""
        return f"{self.method} {self.path}"

    @property
    def ids(self) -> list[str]:
        """The names of its path's parameters."""
        return re.findall(r"\{(\w+)\}", self.path)

    def filled(self, ids: dict[str, str]) -> str:
        """Its path with these values; a download is a task of another kind."""
        if "url-processing" in self.path and "download_id" in ids:
            ids = {**ids, "task_id": ids["download_id"]}
        return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], self.path)


@cache
def document() -> Json:
    """The document, without a running service."""
    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router)
    return describe(app)


def operations() -> Iterator[Operation]:
    """Every operation."""
    for path, methods in document()["paths"].items():
        for method, described in methods.items():
            yield Operation(method.upper(), path, described)


def resolved(schema: Json) -> Json:
    """A schema with its reference followed."""
    while "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def json_body(operation: Operation) -> Json | None:
    """The schema of a JSON body; the first of several."""
    content = operation.described.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return None
    schema = content["application/json"]["schema"]
    return resolved(next((one for one in schema.get("anyOf", []) if "$ref" in one), schema))


def example_body(operation: Operation) -> Any:
    """The document's own example of a JSON body, if there is one."""
    schema = json_body(operation)
    return schema["examples"][0] if schema else None
