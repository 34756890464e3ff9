"""Groups of voices over a library: constraints always hold, planted persons are found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.engines.voice_grouping import VoiceGroupingEngine, VoiceGroupingOptions

DIMENSION = 24


def group(voices, recordings=None, apart=(), threshold=0.5, **options):
    engine = VoiceGroupingEngine(VoiceGroupingOptions(**options))
    count = len(voices)
    return engine.group(
        np.asarray(voices, np.float32),
        np.arange(count, dtype=np.int32)
        if recordings is None
        else np.asarray(recordings, np.int32),
        np.asarray(apart, np.int32).reshape(-1, 2),
        threshold,
    )


def units(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def planted(sizes, seed=0, noise=0.4, dimension=192):
    """Persons of so many voices, in random order; and who is who."""
    rng = np.random.default_rng(seed)
    persons = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = units(rng.normal(size=(len(sizes), dimension)))
    spread = units(rng.normal(size=(len(persons), dimension)))
    return units(centres[persons] + noise * spread), persons


def same_groups(one, other):
    """Equal up to the names of groups."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def average_linkage(voices, recordings, apart, threshold):
    """The plain way: the best allowed pair of groups, again and again."""
    cosine = voices @ voices.T
    groups = [[voice] for voice in range(len(voices))]

    def allowed(a, b):
        heard = [recordings[voice] for voice in a + b]
        ruled_out = any({one, other} <= set(a + b) for one, other in apart)
        return len(set(heard)) == len(heard) and not ruled_out

    while True:
        best = max(
            (
                (cosine[np.ix_(a, b)].mean(), x, y)
                for x, a in enumerate(groups)
                for y, b in enumerate(groups[:x])
                if allowed(a, b)
            ),
            default=(-1, 0, 0),
        )
        if best[0] < threshold:
            break
        groups[best[2]] += groups.pop(best[1])
    found = np.full(len(voices), -1)
    for number, members in enumerate(members for members in groups if len(members) > 1):
        found[members] = number
    return found


@st.composite
def libraries(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    voices, _ = planted(sizes, seed, draw(st.sampled_from([0.3, 0.8, 1.2])), dimension=4)
    count = len(voices)
    recordings = rng.integers(0, draw(st.sampled_from([2, 5, 1000])), count)
    apart = rng.integers(0, count, (draw(st.integers(0, 4)), 2))
    return voices, recordings, apart[apart[:, 0] != apart[:, 1]]


@given(libraries(), st.sampled_from([0.3, 0.6, 0.9]))
@settings(deadline=None)
def test_it_is_average_linkage_under_the_constraints(library, threshold):
    voices, recordings, apart = library
    found = group(voices, recordings, apart, threshold)
    expected = average_linkage(voices, recordings.tolist(), apart.tolist(), threshold)
    alone = found == -1
    np.testing.assert_array_equal(alone, expected == -1)
    assert same_groups(found[~alone], expected[~alone])


@given(libraries(), st.integers(1, 3))
@settings(deadline=None)
def test_constraints_hold_with_few_neighbours_and_cells_too(library, neighbours):
    voices, recordings, apart = library
    found = group(voices, recordings, apart, 0.3, neighbours=neighbours, exact=2)
    for number in set(found.tolist()) - {-1}:
        members = np.flatnonzero(found == number)
        assert len(members) > 1
        assert len(set(recordings[members])) == len(members)
    for one, other in apart:
        assert found[one] == -1 or found[one] != found[other]


@given(libraries(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_voices_only_names_the_groups(library, random):
    voices, recordings, apart = library
    order = np.array(random.sample(range(len(voices)), len(voices)))
    place = np.argsort(order)
    found = group(voices, recordings, apart)
    shuffled = group(voices[order], recordings[order], place[apart])
    np.testing.assert_array_equal(shuffled == -1, found[order] == -1)
    assert same_groups(shuffled, found[order])


@pytest.mark.parametrize("exact", [10_000, 100], ids=["compared-with-all", "by-cells"])
def test_planted_persons_are_found(exact):
    sizes = [1] * 50 + [2] * 40 + [7] * 30 + [120] * 3
    voices, persons = planted(sizes)
    found = group(voices, exact=exact)
    alone = np.isin(persons, np.arange(50))
    np.testing.assert_array_equal(found == -1, alone)
    assert same_groups(found[~alone], persons[~alone])


def test_a_person_may_have_more_voices_than_neighbours_are_looked_at():
    voices, persons = planted([300, 200], noise=0.7)
    assert same_groups(group(voices, neighbours=3), persons)


def test_many_copies_of_one_recording_do_not_hide_the_others():
    voices, persons = planted([20, 20])
    copied = np.concatenate([np.repeat(voices[:1], 100, axis=0), voices])
    found = group(copied, neighbours=5)
    assert same_groups(found, np.concatenate([np.repeat(persons[:1], 100), persons]))


def test_groups_are_numbered_in_order_of_their_first_voice():
    voices, _ = planted([3, 3, 3, 1], seed=3)
    found = group(voices)
    _, first = np.unique(found[found >= 0], return_index=True)
    assert list(first) == sorted(first)
    assert set(found) == {-1, 0, 1, 2}
    assert found.dtype == np.int32


def test_a_chain_of_likeness_is_no_group():
    """Neighbours on a circle are alike, all of them together are not."""
    angles = np.linspace(0, np.pi, 30)
    voices = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = group(voices, threshold=0.8)
    assert len(set(found)) > 2
    for number in set(found):
        members = voices[found == number]
        assert (members @ members.T).mean() > 0.8


def test_what_is_ruled_out_splits_a_person_in_two():
    voices, _ = planted([6])
    found = group(voices, apart=[(0, 1)])
    assert found[0] != found[1]
    assert set(found) == {0, 1} or (found == -1).sum() == 1


@pytest.mark.parametrize("count", [0, 1])
def test_there_may_be_nothing_to_group(count):
    np.testing.assert_array_equal(group(np.eye(count, 5)), [-1] * count)


def test_what_ray_hands_over_is_read_only():
    voices, _ = planted([3, 3])
    voices = voices.astype(np.float32)
    voices.flags.writeable = False
    before = voices.copy()
    group(voices)
    np.testing.assert_array_equal(voices, before)


@pytest.mark.parametrize(
    ("voices", "recordings", "apart", "message"),
    [
        (np.eye(3), [0, 1], (), "do not go with"),
        (np.eye(3) * 2, None, (), "unit length"),
        (np.full((2, 3), np.nan), None, (), "unit length"),
        (np.eye(3), None, [(0, 3)], "names 3"),
        (np.eye(3), None, [(-1, 2)], "names"),
    ],
)
def test_what_does_not_go_together_is_refused(voices, recordings, apart, message):
    with pytest.raises(ValueError, match=message):
        group(voices, recordings, apart)
