"""Who follows whom when a file is computed anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.speakers.succession import MOST, heirs, shared
from pipelines.speakers.turns import union

SPAN = st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda t: (t[0], t[0] + t[1]))
SPANS = st.lists(SPAN, max_size=6)
SPEAKERS = st.dictionaries(st.sampled_from("abcde"), SPANS, max_size=5)


def seconds_of(spans) -> set[int]:
    return {second for start, end in spans for second in range(start, end)}


@given(SPANS, SPANS)
def test_what_two_have_in_common_is_counted_once(one, other):
    assert shared(union(one), union(other)) == len(seconds_of(one) & seconds_of(other))


@given(SPEAKERS, SPEAKERS)
def test_nobody_has_two_heirs_or_is_two_peoples(old, new):
    found = heirs(old, new)
    assert len(set(found.values())) == len(found)
    for one, other in found.items():
        said, says = seconds_of(old[one]), seconds_of(new[other])
        assert len(said & says) > MOST * max(len(said), len(says))


@given(SPEAKERS)
def test_where_nothing_changed_everybody_stays_as_long_as_nobody_says_the_same(speakers):
    alone = {who: said for who, said in speakers.items() if said}
    distinct = {
        who
        for who in alone
        if all(
            seconds_of(alone[who]) != seconds_of(said)
            for other, said in alone.items()
            if other != who
        )
    }
    found = heirs(speakers, speakers)
    assert all(found[who] == who for who in distinct)


@given(SPEAKERS, SPEAKERS)
def test_it_does_not_matter_which_came_first(old, new):
    assert len(heirs(old, new)) == len(heirs(new, old))


def test_a_voice_that_became_two_goes_on_as_the_one_that_has_most_of_it():
    found = heirs({"old": [(0, 10)]}, {"less": [(0, 4)], "more": [(4, 10)]})
    assert found == {"old": "more"}


def test_two_voices_that_became_one_are_the_one_who_said_most():
    found = heirs({"less": [(0, 4)], "more": [(4, 10)]}, {"new": [(0, 10)]})
    assert found == {"more": "new"}


@pytest.mark.parametrize("says", [[], [(0, 5)], [(5, 15)], [(0, 20)]])
def test_half_is_not_enough(says):
    assert heirs({"old": [(0, 10)]}, {"new": says}) == {}
