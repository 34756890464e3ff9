"""Groups of voices: similarity, ids that stay, who is odd."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from db.queries.cluster_voices import NOWHERE, Place
from pipelines.speakers.grouping import arrange
from pipelines.speakers.groups import (
    ALONE,
    Oddity,
    continued,
    of_several,
    outliers,
    to_means,
    without_pairs,
)
from pipelines.speakers.library import Library

DIMENSION = 16

numbers = st.integers(0, 30).flatmap(
    lambda n: arrays.arrays(np.int32, n, elements=st.integers(ALONE, 5))
)


def around(direction: int, count: int, spread: float = 0.05, seed: int = 0) -> np.ndarray:
    """Voices of one person: unit vectors around an axis."""
    noise = np.random.default_rng([seed, direction]).normal(size=(count, DIMENSION))
    rows = np.eye(DIMENSION)[direction] + spread * noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def groups(*given: int) -> np.ndarray:
    return np.array(given, dtype=np.int32)


class TestSimilarity:
    def test_it_is_the_cosine_to_the_groups_mean(self):
        voices = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=np.float32)
        found = to_means(voices, groups(0, 0, 1, ALONE))
        assert found[:3] == pytest.approx([0.5**0.5, 0.5**0.5, 1.0])
        assert np.isnan(found[3])

    def test_opposite_voices_are_like_no_mean(self):
        assert to_means(np.array([[1, 0], [-1, 0]], np.float32), groups(0, 0)).tolist() == [0, 0]

    def test_of_nobody(self):
        assert to_means(np.empty((0, 0), np.float32), groups()).tolist() == []

    @given(numbers)
    def test_the_order_of_voices_does_not_matter(self, given):
        voices = around(0, len(given), 1.0)
        order = np.random.default_rng(0).permutation(len(given))
        found = to_means(voices, given)
        assert np.allclose(to_means(voices[order], given[order]), found[order], equal_nan=True)


class TestPairsApart:
    def test_the_voice_that_is_less_like_the_group_leaves_it(self):
        similarity = np.array([0.9, 0.8, 0.95], dtype=np.float32)
        apart = np.array([[0, 1]], dtype=np.int32)
        assert without_pairs(groups(4, 4, 4), similarity, apart).tolist() == [4, ALONE, 4]

    def test_pairs_of_two_groups_change_nothing(self):
        similarity = np.ones(2, dtype=np.float32)
        apart = np.array([[0, 1]], dtype=np.int32)
        assert without_pairs(groups(0, 1), similarity, apart).tolist() == [0, 1]

    @given(numbers, st.data())
    def test_no_pair_is_left_together(self, given, data):
        voice = st.integers(0, max(len(given) - 1, 0))
        pairs = data.draw(st.lists(st.tuples(voice, voice), max_size=20)) if len(given) else []
        pairs = [(one, other) for one, other in pairs if one != other]
        apart = np.array(pairs, dtype=np.int32).reshape(-1, 2)
        left = without_pairs(given, np.linspace(0, 1, len(given), dtype=np.float32), apart)
        assert not [p for p in pairs if left[p[0]] != ALONE and left[p[0]] == left[p[1]]]
        assert ((left == given) | (left == ALONE)).all()


class TestGroupsOfSeveral:
    @given(numbers)
    def test_they_are_numbered_in_order_and_have_two_or_more(self, given):
        found = of_several(given)
        met = [number for number in dict.fromkeys(found.tolist()) if number != ALONE]
        assert met == list(range(len(met)))
        for index, number in enumerate(given.tolist()):
            together = given == number
            assert (found[index] != ALONE) == (number != ALONE and together.sum() > 1)
            if found[index] != ALONE:
                assert ((found == found[index]) == together).all()


class TestContinuation:
    def test_each_goes_on_as_the_one_it_shares_most_members_with(self):
        now = groups(0, 0, 0, 1, 1, ALONE)
        before = groups(7, 7, 9, 7, 9, 9)
        # Group 0 shares two with 7; group 1 one with each, and 7 is taken.
        assert continued(now, before) == {0: 7, 1: 9}

    def test_new_groups_go_on_as_nothing(self):
        assert continued(groups(0, 0), groups(ALONE, ALONE)) == {}

    @given(numbers)
    def test_the_same_groups_go_on_as_themselves(self, given):
        assert continued(given, given) == {n: n for n in set(given.tolist()) - {ALONE}}

    @given(numbers, st.randoms())
    def test_nothing_goes_on_twice(self, given, random):
        before = np.array([random.randint(ALONE, 4) for _ in given], dtype=np.int32)
        found = continued(given, before)
        assert len(set(found.values())) == len(found)
        for group, old in found.items():
            assert ((given == group) & (before == old)).any()


class TestOutliers:
    def test_another_person_is_below_what_joins_voices(self):
        voices = np.concatenate([around(0, 6), around(1, 1)])
        [found] = outliers(voices, 0.6)
        assert (found.index, found.oddity) == (6, Oddity.below_threshold)
        assert found.similarity < 0.3

    def test_a_voice_further_off_than_the_others_is_odd_too(self):
        near, far = around(0, 9, 0.02), around(0, 1, 0.2, seed=3)
        [found] = outliers(np.concatenate([near, far]), 0.1)
        assert (found.index, found.oddity) == (9, Oddity.unlike_the_others)

    def test_in_a_very_even_group_nobody_is_a_stranger(self):
        assert not outliers(np.concatenate([around(0, 9, 0.001), around(0, 1, 0.01)]), 0.1)

    def test_two_who_are_not_alike_are_both_odd(self):
        found = outliers(np.concatenate([around(0, 1), around(1, 1)]), 0.6)
        assert {one.index for one in found} == {0, 1}

    @pytest.mark.parametrize("count", [0, 1])
    def test_nobody_is_odd_alone(self, count: int):
        assert not outliers(around(0, count), 0.6)

    def test_the_worst_come_first(self):
        found = outliers(np.concatenate([around(0, 8), around(1, 1), around(0, 1, 0.4)]), 0.9)
        assert [one.similarity for one in found] == sorted(one.similarity for one in found)
        assert found[0].index == 8


class TestArrangement:
    """What is written, where everything may have changed since the voices were read."""

    voices = np.concatenate([around(0, 3), around(1, 3)])
    ids = tuple(uuid.UUID(int=n) for n in range(6))
    found = Library(ids, [uuid.UUID(int=100 + n) for n in range(6)], voices)
    together = groups(0, 0, 0, 1, 1, 1)

    def places(self) -> dict[uuid.UUID, Place]:
        return dict.fromkeys(self.ids, NOWHERE)

    def test_new_clusters_and_then_nothing_more_to_write(self):
        plan = arrange(self.found, self.together, self.places(), [])
        assert (len(plan.made), plan.outcome.grouped, plan.outcome.clusters) == (2, 6, 2)
        again = arrange(self.found, self.together, dict(plan.moved), [])
        assert (again.made, again.moved) == ([], [])
        assert set(again.going_on) == set(plan.made)

    def test_whoever_is_gone_by_now_is_left_out(self):
        places = self.places()
        del places[self.ids[0]]
        moved = dict(arrange(self.found, self.together, places, []).moved)
        assert moved.keys() == set(self.ids[1:])

    def test_what_is_left_alone_is_no_cluster(self):
        places = dict.fromkeys(self.ids[2:], NOWHERE)
        plan = arrange(self.found, self.together, places, [])
        assert dict(plan.moved).keys() == set(self.ids[3:])

    def test_pairs_that_were_kept_apart_meanwhile(self):
        plan = arrange(self.found, self.together, self.places(), [(self.ids[0], self.ids[1])])
        moved = dict(plan.moved)
        assert len(moved.keys() & set(self.ids[:2])) == 1

    def test_whoever_is_in_no_group_any_more_leaves_their_cluster(self):
        old = uuid.uuid4()
        places = self.places() | {self.ids[5]: Place(old, 0.9)}
        plan = arrange(self.found, groups(0, 0, 0, 1, 1, ALONE), places, [])
        assert dict(plan.moved)[self.ids[5]] == NOWHERE
        assert old not in plan.going_on

    def test_similarities_that_changed_are_written(self):
        old = uuid.uuid4()
        places = self.places() | {key: Place(old, 0.1) for key in self.ids[:3]}
        plan = arrange(self.found, self.together, places, [])
        assert plan.going_on == [old]
        assert {dict(plan.moved)[key].cluster_id for key in self.ids[:3]} == {old}


def test_pairs_of_voices_that_are_not_here_are_left_out():
    ids = [uuid.uuid4(), uuid.uuid4()]
    library = Library(ids, ids, around(0, 2))
    assert library.pairs([(ids[1], ids[0]), (ids[0], uuid.uuid4())]).tolist() == [[1, 0]]
    assert library.pairs([]).shape == (0, 2)


def test_recordings_are_numbered():
    one, other = uuid.uuid4(), uuid.uuid4()
    library = Library([uuid.uuid4()] * 3, [one, other, one], around(0, 3))
    assert library.recordings.tolist() == [0, 1, 0]
