"""Manifests: lists of files or recordings, as JSON lines or Parquet, read some rows at a time."""

import io
import json
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipelines.errors import PipelineError

PARQUET = b"PAR1"
"""How such a file begins."""
ROWS = 1000
"""Rows that are in memory at a time."""
MAX_LINE_BYTES = 64 * 1024
MAX_SOURCE = 1100
TEXTS = ("owner", "filename", "title", "language")
SECONDS = "duration"
FACTS = (*TEXTS, SECONDS)
"""Columns that say more of a recording; others are left alone."""


class ManifestInvalid(PipelineError):
    """A manifest that cannot be used; the message says where, and what is expected."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: a file that is here, or a recording that is to be taken in."""

    file_id: uuid.UUID | None
    source: str | None
    facts: Mapping[str, Any]


def pages(file: BinaryIO) -> Iterator[Sequence[Entry]]:
    """All rows, some at a time.

    Raises:
        ManifestInvalid: it is neither, or a row says neither a file nor a source.
    """
    head = file.read(len(PARQUET))
    file.seek(0)
    found = _parquet(file) if head == PARQUET else _lines(file)
    number = 0
    for rows in found:
        yield [_entry(row, number + index) for index, row in enumerate(rows, 1)]
        number += len(rows)


def _parquet(file: BinaryIO) -> Iterator[Sequence[Mapping[str, Any]]]:
    # Here: nobody else needs it, and it takes a tenth of a second.
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = {"file_id", "source", *FACTS}
    try:
        parquet = pq.ParquetFile(file)
        columns = [name for name in parquet.schema_arrow.names if name in wanted]
        for batch in parquet.iter_batches(ROWS, columns=columns):
            yield batch.to_pylist()
    # Of a broken footer or page Arrow says OSError, which is none of its own exceptions.
    except (pa.ArrowException, OSError) as error:
        raise ManifestInvalid(f"The manifest cannot be read as Parquet: {error}") from error


def _lines(file: BinaryIO) -> Iterator[Sequence[Mapping[str, Any]]]:
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(_short(file), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ManifestInvalid(
                f"Line {number} of the manifest is no JSON: one object per line is expected, or a "
                "Parquet file."
            ) from error
        if not isinstance(row, dict):
            raise ManifestInvalid(f"Line {number} of the manifest is no JSON object.")
        rows.append(row)
        if len(rows) == ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _short(file: BinaryIO) -> Iterator[bytes]:
    """Lines, none of which fills the memory."""
    reader = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    while line := reader.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise ManifestInvalid(f"A line of the manifest is longer than {MAX_LINE_BYTES} bytes.")
        yield line


def _entry(row: Mapping[str, Any], number: int) -> Entry:
    file_id, source = row.get("file_id"), row.get("source")
    if not file_id and not source:
        raise ManifestInvalid(
            f"Row {number} of the manifest says neither `file_id`, of a file that is here, nor "
            "`source`, where a recording lies (`s3://bucket/key`)."
        )
    if len(str(source or "")) > MAX_SOURCE:
        raise ManifestInvalid(f"Row {number} of the manifest: its `source` is too long.")
    if "\0" in str(source or ""):
        raise ManifestInvalid(f"Row {number} of the manifest: its `source` holds U+0000.")
    try:
        known = uuid.UUID(str(file_id)) if file_id else None
    except ValueError as error:
        raise ManifestInvalid(f"Row {number} of the manifest: {file_id!r} is no id.") from error
    return Entry(known, str(source) if source else None, _facts(row, number))


def _facts(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What a row says of its recording, as the pipelines can take it."""
    facts: dict[str, Any] = {}
    for name in FACTS:
        value = row.get(name)
        # NaN is what pandas writes where nothing is known.
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        if name == SECONDS:
            facts[name] = _seconds(value, number)
        elif isinstance(value, str) and "\0" not in value:
            facts[name] = value
        else:
            raise ManifestInvalid(f"Row {number} of the manifest: its `{name}` is no text.")
    return facts


def _seconds(value: Any, number: int) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ManifestInvalid(
            f"Row {number} of the manifest: its `{SECONDS}` is no number of seconds."
        )
    return seconds
