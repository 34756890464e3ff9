"""What every adapter of db.vectors.port does."""

import asyncio
import math
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.errors import NotFound
from db.vectors.port import Point, Space, VectorStore
from tests.integration.vectors.conftest import PREFIX

ANN, BOB = uuid.uuid4(), uuid.uuid4()
EAST, NORTH, UP = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)
WEST = (-1.0, 0.0, 0.0, 0.0)
NORTH_EAST = (1.0, 1.0, 0.0, 0.0)
HOSTILE = (
    "",
    'x"; DROP TABLE media_file; --',
    "../collections",
    "a/b",
    ".",
    "UPPER",
    "-first",
    "a" * 64,
    "zwölf",
    "a\x00b",
    "a b",
    "line\n",
)


def point(vector: Sequence[float], owner: uuid.UUID = ANN, **payload: str | Sequence[str]) -> Point:
    return Point(uuid.uuid4(), owner, vector, payload)


async def everything(
    store: VectorStore, space: str, owner: uuid.UUID | None = None, **matching: Sequence[str]
) -> set:
    return {one async for one in store.ids(space, owner, matching=matching)}


async def of_files(store: VectorStore, space: str) -> Counter[uuid.UUID]:
    counted: Counter[uuid.UUID] = Counter()
    async for page in store.files(space):
        counted.update(page)
    return counted


async def nearest(store: VectorStore, space: Space, vector, owner=ANN, **how) -> list[uuid.UUID]:
    (hits,) = await store.search(space.name, owner, [vector], limit=how.pop("limit", 10), **how)
    return [hit.id for hit in hits]


async def test_it_answers_and_says_what_it_is(store, adapter):
    await store.ready()
    assert store.adapter == adapter.removesuffix("-local")


class TestSearch:
    async def test_the_similarity_is_the_cosine_itself(self, store, space):
        points = [point(EAST), point(NORTH_EAST), point(NORTH), point(WEST)]
        await store.upsert(space.name, points)
        # Its length does not matter.
        (hits,) = await store.search(space.name, ANN, [(250.0, 0, 0, 0)], limit=10)
        assert [hit.id for hit in hits] == [one.id for one in points]
        assert [hit.similarity for hit in hits] == pytest.approx(
            [1, math.sqrt(0.5), 0, -1], abs=1e-6
        )

    async def test_the_nearest_of_many_come_first(self, store, space):
        choice = np.random.default_rng(5)
        vectors = choice.normal(size=(300, 4))
        points = [point(vector.tolist()) for vector in vectors]
        await store.upsert(space.name, points)
        asked = choice.normal(size=4)
        cosines = vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked)
        best = np.argsort(-cosines)[:20]
        (hits,) = await store.search(space.name, ANN, [asked.tolist()], limit=20)
        assert [hit.id for hit in hits] == [points[n].id for n in best]
        assert [hit.similarity for hit in hits] == pytest.approx(cosines[best].tolist(), abs=1e-6)

    async def test_several_at_once_each_have_their_own(self, store, space):
        east, north = point(EAST, kind="speaker"), point(NORTH, kind="speaker")
        await store.upsert(space.name, [east, north])
        asked = [NORTH, EAST, UP, NORTH]
        found = await store.search(space.name, ANN, asked, limit=1, at_least=0.5)
        assert [[hit.id for hit in hits] for hits in found] == [
            [north.id],
            [east.id],
            [],
            [north.id],
        ]
        assert found[0][0].payload == {"kind": "speaker"}

    async def test_none_asked_is_none_found(self, store, space):
        assert await store.search(space.name, ANN, [], limit=5) == []

    async def test_what_is_less_alike_is_left_out(self, store, space):
        points = [point(one) for one in (EAST, NORTH_EAST, NORTH, WEST)]
        await store.upsert(space.name, points)
        for at_least, count in ((-1, 4), (0.0, 3), (0.5, 2), (0.99, 1)):
            found = await nearest(store, space, EAST, at_least=at_least)
            assert found == [one.id for one in points[:count]]

    async def test_by_values_and_without_values(self, store, space):
        here, there = str(uuid.uuid4()), str(uuid.uuid4())
        first = point(EAST, kind="speaker", media_file_id=here)
        second = point(EAST, kind="speaker", media_file_id=there)
        person = point(EAST, kind="profile")
        await store.upsert(space.name, [first, second, person])

        async def found(**how) -> set:
            return set(await nearest(store, space, EAST, **how))

        assert await found(matching={"kind": ["speaker"]}) == {first.id, second.id}
        assert await found(matching={"kind": {"speaker", "profile"}, "media_file_id": [here]}) == {
            first.id
        }
        # Who has no such field has none of its values.
        assert await found(excluding={"media_file_id": [here]}) == {second.id, person.id}
        assert await found(excluding={"media_file_id": [here], "kind": ["profile"]}) == {second.id}
        assert await found(matching={"kind": []}) == set()
        assert await found(matching={"kind": ["' OR true --"]}) == set()

    async def test_a_list_has_a_value_where_one_of_its_texts_is_it(self, store, space):
        ann, bob, eve = (str(uuid.uuid4()) for _ in range(3))
        both = point(EAST, speaker_ids=[ann, bob], other=["x", "y"])
        one = point(NORTH_EAST, speaker_ids=[bob], other="x")
        nobody, unsaid = point(NORTH, speaker_ids=[]), point(UP)
        await store.upsert(space.name, [both, one, nobody, unsaid])

        async def found(**how) -> set:
            return set(await nearest(store, space, EAST, **how))

        assert await found(matching={"speaker_ids": [ann]}) == {both.id}
        assert await found(matching={"speaker_ids": [ann, bob, eve]}) == {both.id, one.id}
        assert await found(matching={"speaker_ids": [eve, "' OR true --"]}) == set()
        assert await found(matching={"speaker_ids": []}) == set()
        assert await found(matching={"other": ["x"]}) == {both.id, one.id}
        assert await found(matching={"other": ["y"], "speaker_ids": [bob]}) == {both.id}
        assert await found(excluding={"speaker_ids": [ann]}) == {one.id, nobody.id, unsaid.id}
        (hits,) = await store.search(space.name, ANN, [EAST], limit=1)
        assert dict(hits[0].payload) == {"speaker_ids": [ann, bob], "other": ["x", "y"]}

    async def test_among_more_values_than_a_statement_has_parameters(self, store, space):
        here = point(EAST, media_file_id=str(uuid.uuid4()))
        await store.upsert(space.name, [here, point(EAST, media_file_id=str(uuid.uuid4()))])
        values = [str(uuid.uuid4()) for _ in range(40_000)]
        files = {"media_file_id": [*values, str(here.payload["media_file_id"])]}
        assert await nearest(store, space, EAST, matching=files) == [here.id]

    async def test_what_is_left_out_takes_nobodys_place(self, store, space):
        crowd = [point(EAST, media_file_id="here") for _ in range(30)]
        far = point(NORTH_EAST, media_file_id="there")
        await store.upsert(space.name, [*crowd, far])
        found = await nearest(store, space, EAST, limit=1, excluding={"media_file_id": ["here"]})
        assert found == [far.id]

    async def test_a_field_that_no_payload_has_is_refused(self, store, space):
        for field in ("owner_id", "kind' OR true --", "", "Kind", "a.b"):
            for how in ("matching", "excluding"):
                values = {how: {field: [str(BOB)]}}
                with pytest.raises(ValueError, match="is no field"):
                    await store.search(space.name, ANN, [EAST], limit=1, **values)


class TestOwners:
    @given(st.data())
    @settings(
        max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    async def test_nobody_finds_counts_or_removes_what_is_anothers(self, stores, adapter, data):
        store = stores[0]
        space = Space(f"{PREFIX}{uuid.uuid4().hex[:12]}", 4)
        await store.ensure(space)
        owners = [uuid.uuid4() for _ in range(3)]
        numbers = st.floats(-1, 1, width=32).filter(lambda number: abs(number) > 1e-3)
        drawn = data.draw(
            st.lists(
                st.tuples(
                    st.sampled_from(owners),
                    st.lists(numbers, min_size=4, max_size=4),
                    st.sampled_from(["speaker", "profile"]),
                ),
                max_size=20,
            )
        )
        points = [point(vector, owner, kind=kind) for owner, vector, kind in drawn]
        await store.upsert(space.name, points)
        for owner in owners:
            mine = {one.id for one in points if one.owner_id == owner}
            assert set(await nearest(store, space, EAST, owner, limit=50)) == mine
            assert await store.count(space.name, owner) == len(mine)
            assert await everything(store, space.name, owner) == mine
        kind = data.draw(st.sampled_from(["speaker", "profile"]))
        await store.delete(space.name, owners[0], matching={"kind": [kind]})
        left = {
            one.id for one in points if (one.owner_id, one.payload["kind"]) != (owners[0], kind)
        }
        assert await everything(store, space.name) == left
        await store.drop(space.name)

    async def test_a_stranger_finds_nothing(self, store, space):
        await store.upsert(space.name, [point(EAST)])
        assert await nearest(store, space, EAST, BOB) == []
        await store.delete(space.name, BOB)
        assert await store.count(space.name, ANN) == 1


class TestWriting:
    async def test_a_point_takes_the_place_of_the_one_with_its_id(self, store, space):
        first = point(EAST, kind="speaker", media_file_id="here")
        await store.upsert(space.name, [first])
        await store.upsert(space.name, [replace(first, vector=NORTH, payload={"kind": "profile"})])
        (hits,) = await store.search(space.name, ANN, [NORTH], limit=10)
        assert [(hit.id, dict(hit.payload)) for hit in hits] == [(first.id, {"kind": "profile"})]
        assert hits[0].similarity == pytest.approx(1)
        assert await nearest(store, space, NORTH, matching={"media_file_id": ["here"]}) == []

    async def test_of_two_with_one_id_the_later_stays(self, store, space):
        first = point(EAST)
        await store.upsert(space.name, [first, replace(first, vector=NORTH)])
        assert await store.count(space.name) == 1
        assert await nearest(store, space, NORTH, at_least=0.9) == [first.id]

    async def test_a_point_may_change_its_owner(self, store, space):
        first = point(EAST)
        await store.upsert(space.name, [first])
        await store.upsert(space.name, [replace(first, owner_id=BOB)])
        assert await nearest(store, space, EAST, ANN) == []
        assert await nearest(store, space, EAST, BOB) == [first.id]

    async def test_many_at_once(self, store, space):
        choice = random.Random(3)
        points = [point([choice.gauss(0, 1) for _ in range(4)]) for _ in range(1_200)]
        await store.upsert(space.name, points)
        assert await store.count(space.name) == len(points)
        assert await everything(store, space.name) == {one.id for one in points}

    async def test_none_at_all(self, store, space):
        await store.upsert(space.name, [])
        assert await store.count(space.name) == 0

    async def test_writers_of_the_same_points_do_not_block_each_other(self, stores, space):
        points = [point(EAST) for _ in range(100)]
        await asyncio.gather(
            *(
                stores[n % 2].upsert(space.name, random.Random(n).sample(points, len(points)))
                for n in range(6)
            )
        )
        assert await stores[0].count(space.name) == len(points)

    async def test_a_vector_without_a_direction_or_of_another_length_is_refused(self, store, space):
        nothing, number = (0.0,) * 4, (math.nan, 0, 0, 1)
        endless, short, long = (math.inf, 0, 0, 1), (1.0, 0, 0), (1.0, 0, 0, 0, 0)
        for vector in (nothing, number, endless, short, long, ()):
            with pytest.raises(ValueError, match=r"direction|numbers"):
                await store.upsert(space.name, [point(EAST), point(vector)])
            with pytest.raises(ValueError, match=r"direction|numbers"):
                await store.search(space.name, ANN, [vector], limit=1)
        assert await store.count(space.name) == 0

    async def test_numbers_that_are_hard_to_square_are_no_harm(self, store, space):
        scales = (1e-42, 1e-300, 1e300)
        points = [point([scale * number for number in NORTH_EAST]) for scale in scales]
        await store.upsert(space.name, points)
        (hits,) = await store.search(space.name, ANN, [NORTH_EAST], limit=3)
        assert [hit.similarity for hit in hits] == pytest.approx([1, 1, 1], abs=1e-6)

    async def test_a_payload_that_not_every_store_can_keep_is_refused(self, store, space):
        nul = {"kind": "a\x00b"}, {"speaker_ids": ["a", "b\x00"]}
        for payload in ({"owner_id": str(BOB)}, *nul, {"a-b": "c"}):
            with pytest.raises(ValueError, match=r"NUL|is no field"):
                await store.upsert(space.name, [Point(uuid.uuid4(), ANN, EAST, payload)])


class TestReading:
    async def test_ids_of_those_that_match(self, store, space):
        here, there = "here", "there"
        mine = [point(EAST, media_file_id=here, speaker_ids=["ann"]) for _ in range(3)]
        others = point(EAST, BOB, media_file_id=here, speaker_ids=["bob"])
        elsewhere = point(EAST, media_file_id=there)
        await store.upsert(space.name, [*mine, others, elsewhere])
        ids = {one.id for one in mine}
        assert await everything(store, space.name, ANN, media_file_id=[here]) == ids
        assert await everything(store, space.name, media_file_id=[here]) == {*ids, others.id}
        assert await everything(store, space.name, speaker_ids=["bob", "eve"]) == {others.id}
        assert await everything(store, space.name, ANN, media_file_id=[]) == set()
        with pytest.raises(ValueError, match="is no field"):
            await everything(store, space.name, owner_id=[str(ANN)])

    async def test_points_are_counted_by_file(self, store, space):
        counts = {uuid.uuid4(): number % 3 + 1 for number in range(1_100)}
        points = [
            point(EAST, media_file_id=str(file))
            for file, number in counts.items()
            for _ in range(number)
        ]
        shared = next(iter(counts))
        others = point(EAST, BOB, media_file_id=str(shared))
        await store.upsert(space.name, [*points, others, point(EAST, kind="profile")])
        assert await of_files(store, space.name) == {**counts, shared: counts[shared] + 1}
        await store.delete(space.name, ANN)
        assert await of_files(store, space.name) == {shared: 1}

    async def test_none_are_counted_where_there_are_none(self, store, space):
        assert await of_files(store, space.name) == {}
        assert await of_files(store, f"{PREFIX}nothing") == {}


class TestRemoving:
    async def test_all_but_those_to_keep(self, store, space):
        points = [point(EAST) for _ in range(5)]
        others = point(EAST, BOB)
        await store.upsert(space.name, [*points, others])
        await store.delete(space.name, ANN, keep=[points[0].id, points[3].id])
        kept = {points[0].id, points[3].id, others.id}
        assert await everything(store, space.name) == kept
        await store.delete(space.name, ANN)
        assert await everything(store, space.name) == {others.id}

    async def test_of_one_file_but_those_to_keep(self, store, space):
        here = [point(EAST, media_file_id="here", kind="speaker") for _ in range(3)]
        there = point(EAST, media_file_id="there", kind="speaker")
        await store.upsert(space.name, [*here, there])
        await store.delete(
            space.name, ANN, matching={"media_file_id": ["here"]}, keep=[here[1].id, uuid.uuid4()]
        )
        assert await everything(store, space.name) == {here[1].id, there.id}
        assert set(await nearest(store, space, EAST)) == {here[1].id, there.id}

    async def test_by_id_whosever_they_are(self, store, space):
        points = [point(EAST), point(EAST, BOB), point(EAST)]
        await store.upsert(space.name, points)
        await store.remove(space.name, [points[0].id, points[1].id, uuid.uuid4()])
        assert await everything(store, space.name) == {points[2].id}
        await store.remove(space.name, [])
        assert await store.count(space.name) == 1


class TestSpaces:
    async def test_made_and_dropped(self, store, space):
        other = replace(space, name=f"{space.name}-other")
        await store.ensure(other)
        await store.upsert(space.name, [point(EAST)])
        assert {space.name, other.name} <= set(await store.spaces())
        assert await store.count(other.name) == 0
        await store.drop(space.name)
        assert space.name not in await store.spaces()
        assert other.name in await store.spaces()
        await store.drop(space.name)

    async def test_made_again_it_is_empty(self, store, space):
        await store.upsert(space.name, [point(EAST)])
        await store.drop(space.name)
        await store.ensure(space)
        assert await store.count(space.name) == 0

    async def test_ensured_again_it_keeps_its_points(self, stores, space):
        await stores[0].upsert(space.name, [point(EAST)])
        for store in stores:
            await store.ensure(space)
        assert await stores[1].count(space.name) == 1

    async def test_ensured_by_many_at_once(self, stores):
        space = Space(f"{PREFIX}{uuid.uuid4().hex[:12]}", 4)
        await asyncio.gather(*(stores[n % 2].ensure(space) for n in range(8)))
        await asyncio.gather(*(stores[n % 2].upsert(space.name, [point(EAST)]) for n in range(8)))
        assert await stores[0].count(space.name) == 8

    async def test_another_dimension_under_the_same_name_is_refused(self, stores, space):
        for store in stores:
            with pytest.raises(ValueError, match="4 dimensions, not 5"):
                await store.ensure(replace(space, dimension=5))

    async def test_one_that_is_not_there_holds_nothing(self, store):
        name = f"{PREFIX}nothing"
        assert await store.search(name, ANN, [EAST, UP], limit=3) == [[], []]
        assert await store.count(name) == 0
        assert await everything(store, name) == set()
        await store.delete(name, ANN)
        await store.remove(name, [uuid.uuid4()])
        with pytest.raises(NotFound):
            await store.upsert(name, [point(EAST)])
        assert name not in await store.spaces()

    async def test_one_that_another_process_has_dropped(self, stores, space):
        mine, others = stores
        await mine.upsert(space.name, [point(EAST)])
        await others.drop(space.name)
        # Nothing in it, and nothing wrong.
        assert await nearest(mine, space, EAST) == []
        assert await mine.count(space.name) == 0
        await mine.ensure(space)
        await others.drop(space.name)
        # Ensured in this process before, so that it is made again.
        again = point(EAST)
        await mine.ensure(space)
        await mine.upsert(space.name, [again])
        assert await nearest(others, space, EAST) == [again.id]

    async def test_a_hostile_name_is_refused_everywhere(self, store):
        for name in HOSTILE:
            for call in (
                store.ensure(Space(name, 4)),
                store.drop(name),
                store.upsert(name, [point(EAST)]),
                store.search(name, ANN, [EAST], limit=1),
                store.delete(name, ANN),
                store.remove(name, []),
                store.count(name),
                everything(store, name),
                of_files(store, name),
            ):
                with pytest.raises(ValueError, match="no name of a space"):
                    await call

    async def test_the_longest_name_and_the_widest_vectors(self, store):
        widest = Space(f"{PREFIX}{'x' * 63}"[:63], 1536)
        await store.ensure(widest)
        one = point([1.0, *[0.5] * 1535], media_file_id=str(uuid.uuid4()))
        await store.upsert(widest.name, [one])
        assert await nearest(store, widest, one.vector) == [one.id]

    async def test_no_space_has_so_many_dimensions(self, store):
        for dimension in (0, -1, 1537):
            with pytest.raises(ValueError, match="a space has 1 to 1536"):
                await store.ensure(Space(f"{PREFIX}wide", dimension))
