"""Clustering a bounded number of points: rules that hold for any, and a guest who is not lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.bounded_clustering import Rules, Wanted, cluster, condense

RULES = Rules(threshold=0.7, min_size=12, method="centroid")
ANY = Wanted(None, 1, 20)
DIMENSION = 32


def voices(sizes: list[int], spread: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of so many voices in turns, and whose each is."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(len(sizes), DIMENSION))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    owners = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    noise = random.normal(size=(len(owners), DIMENSION)) * spread / np.sqrt(DIMENSION)
    return centres[owners] + noise, owners


def same(found: np.ndarray, owners: np.ndarray) -> bool:
    """Whether two labellings are the same partition."""
    pairs = set(zip(found.tolist(), owners.tolist(), strict=True))
    return len(pairs) == len(set(found.tolist())) == len(set(owners.tolist()))


@given(
    sizes=st.lists(st.integers(15, 60), min_size=1, max_size=5),
    most=st.integers(20, 400),
    seed=st.integers(0, 1000),
)
def test_voices_that_are_apart_are_told_apart_however_few_points_there_may_be(sizes, most, seed):
    vectors, owners = voices(sizes, seed=seed)
    assert same(cluster(vectors, RULES, ANY, most), owners)


@given(count=st.integers(1, 3000), most=st.integers(10, 3000))
def test_there_are_never_more_points_than_allowed(count, most):
    random = np.random.default_rng(count)
    units = random.normal(size=(count, 4))
    groups = condense(units / np.linalg.norm(units, axis=1, keepdims=True), RULES, most)
    assert len(groups) == count
    assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))
    assert groups.max() < most


def test_a_guest_of_a_minute_among_hours_is_a_speaker_of_their_own():
    vectors, owners = voices([9000, 9000, 40], spread=0.4)
    assert same(cluster(vectors, RULES, ANY, 2000), owners)


def test_what_is_too_little_for_a_speaker_goes_to_the_one_it_is_most_like():
    vectors, owners = voices([100, 100, 5])
    found = cluster(vectors, RULES, ANY, 5000)
    assert len(set(found.tolist())) == 2
    assert same(found[owners < 2], owners[owners < 2])


def test_the_number_of_speakers_asked_for_is_honoured():
    vectors, _ = voices([300, 300, 300])
    for number in (1, 2, 3):
        for most in (100, 5000):
            found = cluster(vectors, RULES, Wanted(number, number, number), most)
            assert len(set(found.tolist())) == number
    assert len(set(cluster(vectors, RULES, Wanted(None, 1, 2), 5000).tolist())) == 2


def test_one_point_is_one_cluster():
    assert cluster(np.ones((1, DIMENSION)), RULES, ANY, 10).tolist() == [0]
