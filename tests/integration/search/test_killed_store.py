"""The keyword store is killed while it is filled and asked: nothing is lost, all of it is said."""

from tests.bench.search_outage import outage


async def test_a_store_that_is_killed_catches_up(tmp_path):
    seen = await outage(tmp_path, files=24, seconds=2)
    assert seen.waiting >= 8
    assert seen.found == 24
    assert set(seen.answers["before"]) == {"whole"}
    assert set(seen.answers["while it is away"]) <= {"degraded", "whole"}
    assert seen.answers["while it is away"]["degraded"] > 0
    assert set(seen.answers["afterwards"]) <= {"whole", "degraded"}
