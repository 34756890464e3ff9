"""Exports as tables for spreadsheets, CSV in which nothing is taken for a formula, or as JSON."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import StreamingResponse

from api.errors import ErrorType
from api.headers import content_disposition
from api.openapi import ADMIN_TYPES, Responses, errors

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula."""


class ExportFormat(StrEnum):
    """How an export is written."""

    csv = "csv"
    ndjson = "ndjson"


MEDIA_TYPES = {ExportFormat.csv: "text/csv", ExportFormat.ndjson: "application/x-ndjson"}
AskedFormat = Annotated[ExportFormat, Query(description="CSV or a JSON object a line")]


def exported(description: str) -> Responses:
    """What an administrator's export answers with."""
    text = {"schema": {"type": "string"}}
    content = dict.fromkeys(MEDIA_TYPES.values(), text)
    return {
        200: {"description": description, "content": content},
        **errors(*ADMIN_TYPES, ErrorType.validation_error),
    }


def download(text: AsyncIterator[str], written: ExportFormat, name: str) -> StreamingResponse:
    """An export as a file of this name and its format's extension, kept by no cache."""
    return StreamingResponse(
        text,
        media_type=MEDIA_TYPES[written],
        headers={
            "content-disposition": content_disposition("attachment", f"{name}.{written}"),
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )


def table(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) else text


def lines(entries: Iterable[dict[str, Any]], written: ExportFormat) -> str:
    """Some entries of an export: rows of a table, or a JSON object a line."""
    if written is ExportFormat.csv:
        return table([cell(value) for value in entry.values()] for entry in entries)
    return "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries)
