"""Where a backfill may read from, and the lists it is given: good ones, odd ones, hostile ones."""

import io
import json
import uuid
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from cluster.settings import ObjectSettings
from db.objects.s3 import S3Objects
from pipelines.backfills import manifests
from pipelines.backfills.manifests import MAX_LINE_BYTES, ManifestInvalid
from pipelines.backfills.orders import Selection
from pipelines.backfills.sources import Buckets, Place, SourceRefused
from pipelines.backfills.work import MAX_CHUNKS, cut

FILE = uuid.UUID(int=7)


SETTINGS = ObjectSettings(
    bucket="own",
    endpoint="127.0.0.1:1",
    access_key=SecretStr("key"),
    secret_key=SecretStr("secret"),
)


def buckets(allowed: str = "") -> Buckets:
    return Buckets(SETTINGS, S3Objects(SETTINGS), allowed)


def read(data: bytes) -> list:
    return [entry for page in manifests.pages(io.BytesIO(data)) for entry in page]


def parquet(**columns) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


@pytest.mark.parametrize(
    "location",
    ["import/talks/", "s3://own/import/talks/", "s3://archive/2019/", "backfills/manifests/1"],
)
def test_what_may_be_read(location):
    place = buckets("archive, other").place(location)
    assert str(place).startswith("s3://")


@pytest.mark.parametrize(
    "location",
    [
        "media/",
        "s3://own/media/somebody/else",
        "s3://own/",
        "s3://own/imports/",
        "s3://elsewhere/import/",
        "s3://",
        "s3:///import/x",
        "",
        "enrolments/x",
    ],
)
def test_what_may_not(location):
    with pytest.raises(SourceRefused):
        buckets("archive").place(location)


def test_a_place_is_written_as_it_is_read():
    assert Place.of("s3://a/b/c", "own") == Place("a", "b/c")
    assert str(Place.of("import/x", "own")) == "s3://own/import/x"


def test_json_lines():
    rows = [
        {"source": "s3://a/1.wav", "title": "One", "owner": "ann@example.org", "other": 1},
        {"source": "s3://a/2.wav", "duration": 12.5, "language": None},
    ]
    found = read("\n".join(map(json.dumps, rows)).encode() + b"\n\n")
    assert [one.source for one in found] == ["s3://a/1.wav", "s3://a/2.wav"]
    assert found[0].facts == {"title": "One", "owner": "ann@example.org"}
    assert found[1].facts == {"duration": 12.5}


def test_what_pandas_calls_missing_is_missing():
    found = read(parquet(source=["import/a", "import/b"], duration=[float("nan"), 2]))
    assert [one.facts for one in found] == [{}, {"duration": 2.0}]
    [one] = read(b'{"source": "import/c", "duration": NaN, "title": NaN}')
    assert one.facts == {}


def test_parquet_has_the_same_columns():
    found = read(parquet(file_id=[str(FILE)] * 2500, note=["x"] * 2500))
    assert len(found) == 2500
    assert found[0].file_id == FILE
    assert found[0].facts == {}


@pytest.mark.parametrize(
    "data",
    [
        b"no json",
        b"[1, 2]",
        b'{"title": "neither a file nor a source"}',
        b'{"file_id": "no-id"}',
        b'{"source": "' + b"x" * 2000 + b'"}',
        b"x" * (MAX_LINE_BYTES + 2),
        b"PAR1 and nothing else",
        parquet(title=["no file"]),
        b"\xff\xfe\x00",
        b"PAR1" + b"\xff" * 200 + b"\x40\x00\x00\x00PAR1",
        *(
            b'{"source": "import/a.wav", "duration": %s}' % wrong
            for wrong in (b'"abc"', b'"1:30"', b"[1]", b"-1", b"Infinity", b"9" * 400)
        ),
        b'{"source": "import/a.wav", "title": 5}',
        b'{"source": "import/a.wav", "owner": ["ann"]}',
        b'{"source": "import/a.wav", "title": "\\u0000"}',
        b'{"source": "import/\\u0000.wav"}',
    ],
)
def test_what_is_no_manifest_is_said(data):
    with pytest.raises(ManifestInvalid):
        read(data)


def test_a_selection_comes_back_as_it_was_stored():
    whole = Selection(
        owner_ids=(uuid.UUID(int=1),),
        languages=("de",),
        everything=True,
        import_owner_id=uuid.UUID(int=2),
        manifest="import/list.jsonl",
    )
    assert Selection.of(json.loads(json.dumps(whole.stored()))) == Selection(
        owner_ids=(uuid.UUID(int=1),),
        languages=["de"],
        everything=True,
        import_owner_id=uuid.UUID(int=2),
        manifest="import/list.jsonl",
    )
    assert Selection().stored() == {}


@pytest.mark.parametrize(("first", "last"), [(0, 0), (3, 25), (0, 7), (0, 10**6)])
def test_chunks_cover_all_numbers_once(first, last):
    found = cut(first, last, 8)
    assert len(found) <= MAX_CHUNKS
    assert (found[0].first, found[-1].last) == (first, last)
    assert all(one.last + 1 == after.first for one, after in pairwise(found))
