"""The object store's port over a real S3 server: the contract of db.objects.port."""

import hashlib
import io
import os
from datetime import timedelta

import httpx
import pytest

from db.errors import NotFound, StoreUnavailable
from db.objects import s3
from db.objects.s3 import S3Objects

MIB = 1024 * 1024


async def test_what_is_put_is_got_whole_and_in_part(objects: S3Objects):
    data = os.urandom(3 * MIB)
    info = await objects.put("a/b", data)
    assert info.size_bytes == len(data)
    assert await objects.get("a/b") == data
    assert await objects.get("a/b", 1000, 17) == data[1000:1017]
    assert (await objects.stat("a/b")).size_bytes == len(data)


async def test_a_stream_may_be_left_in_the_middle(objects: S3Objects):
    await objects.put("long", bytes(20 * MIB))
    for _ in range(40):
        async for chunk in objects.stream("long"):
            assert chunk
            break
    assert await objects.get("long", 0, 4) == b"\0\0\0\0"


async def test_a_large_stream_is_put_in_parts(objects: S3Objects):
    data = os.urandom(MIB) * 40
    await objects.put_stream("big", io.BytesIO(data), len(data))
    digest = hashlib.sha256()
    async for chunk in objects.stream("big"):
        digest.update(chunk)
    assert digest.digest() == hashlib.sha256(data).digest()


async def test_parts_are_joined_on_the_server(objects: S3Objects):
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), b"tail"]
    for number, part in enumerate(parts):
        await objects.put(f"parts/{number}", part)
    await objects.compose("whole", [f"parts/{number}" for number in range(3)])
    assert await objects.get("whole") == b"".join(parts)


async def test_one_small_part_alone_is_joined_too(objects: S3Objects):
    await objects.put("parts/0", b"tiny")
    await objects.compose("whole", ["parts/0"])
    assert await objects.get("whole") == b"tiny"


async def test_a_missing_key_is_not_found(objects: S3Objects):
    with pytest.raises(NotFound):
        await objects.get("nothing")
    with pytest.raises(NotFound):
        await objects.stat("nothing")


async def test_deleting_takes_a_prefix_and_nothing_else(objects: S3Objects):
    for key in ("x", "x.recording/0", "x.recording/1", "xy"):
        await objects.put(key, b"1")
    assert await objects.delete_prefix("x.recording/") == 2
    assert await objects.get("x") == await objects.get("xy") == b"1"
    await objects.delete(["x", "was-never-there"])
    with pytest.raises(NotFound):
        await objects.stat("x")


async def test_a_presigned_url_reads_ranges_and_only_its_own_object(objects: S3Objects):
    await objects.put("media", b"0123456789")
    url = await objects.presign_get("media", timedelta(minutes=5))
    async with httpx.AsyncClient() as client:
        part = await client.get(url, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")
        assert (await client.get(url.replace("media", "other"))).status_code == 403
        assert (await client.get(url.split("?")[0])).status_code == 403


async def test_no_public_endpoint_no_presigned_upload(objects: S3Objects):
    assert await objects.presign_put("key", timedelta(minutes=5)) is None


async def test_a_public_endpoint_gives_an_upload_url(object_settings):
    public = object_settings.model_copy(update={"public_endpoint": object_settings.endpoint})
    store = S3Objects(public)
    await store.ready()
    url = await store.presign_put("key", timedelta(minutes=5))
    async with httpx.AsyncClient() as client:
        assert (await client.put(url, content=b"bytes")).status_code == 200
    assert await store.get("key") == b"bytes"


async def test_a_silent_server_is_unavailable(object_settings):
    store = S3Objects(object_settings.model_copy(update={"endpoint": "127.0.0.1:9"}))
    with pytest.raises(StoreUnavailable):
        await store.get("key")


async def test_a_listing_comes_in_pages_in_order_and_goes_on_behind_a_key(
    objects: S3Objects, monkeypatch
):
    monkeypatch.setattr(s3, "LISTED", 2)
    for name in ("a/1", "a/2", "a/3/x", "b/1"):
        await objects.put(name, b"12345")
    pages = [page async for page in objects.pages("a/")]
    assert [[item.key for item in page] for page in pages] == [["a/1", "a/2"], ["a/3/x"]]
    assert {item.size_bytes for page in pages for item in page} == {5}
    assert pages[0][0].modified_at.tzinfo is not None
    rest = [item.key async for page in objects.pages("a/", after="a/1") for item in page]
    assert rest == ["a/2", "a/3/x"]
    assert [page async for page in objects.pages("c/")] == []
