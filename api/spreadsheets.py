"""Tables for spreadsheets: CSV in which nothing is taken for a formula."""

import csv
import io
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula."""


class ExportFormat(StrEnum):
    """How an export is written."""

    csv = "csv"
    ndjson = "ndjson"


MEDIA_TYPES = {ExportFormat.csv: "text/csv", ExportFormat.ndjson: "application/x-ndjson"}


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
