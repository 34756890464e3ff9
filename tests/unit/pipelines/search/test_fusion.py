"""Reciprocal rank fusion."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.search.fusion import Ranks, fused

A, B, C, D = (uuid.UUID(int=number) for number in range(4))
CONSTANT = 30


def test_what_both_find_comes_before_what_one_finds():
    scores = fused([Ranks([A, B, C]), Ranks([D, B])], CONSTANT)
    assert list(scores) == [B, A, D, C]
    assert scores[B] == pytest.approx((1 / 32 + 1 / 32) / (2 / 31))


def test_first_in_all_is_one():
    assert fused([Ranks([A, B], 0.3), Ranks([A], 2.0)], CONSTANT)[A] == pytest.approx(1.0)


def test_a_weight_decides_between_firsts():
    assert list(fused([Ranks([A], 1.0), Ranks([B], 2.0)], CONSTANT)) == [B, A]
    assert list(fused([Ranks([A], 1.0), Ranks([B], 1.0)], CONSTANT)) == [A, B]


def test_what_is_a_part_of_an_answer_counts_for_a_part_of_its_rank():
    whole = Ranks([A, B], 1.0, [1.0, 0.9])
    part = Ranks([A, B], 1.0, [0.2, 0.1])
    meant = Ranks([C], 0.5)
    assert list(fused([whole, meant], CONSTANT)) == [A, B, C]
    assert list(fused([part, meant], CONSTANT)) == [C, A, B]
    assert fused([whole, Ranks([A], 0.5)], CONSTANT)[A] == pytest.approx(1.0)


def test_nothing_was_found():
    assert fused([], CONSTANT) == {}
    assert fused([Ranks([]), Ranks([])], CONSTANT) == {}
    assert fused([Ranks([A], 0.0)], CONSTANT) == {A: 0.0}


IDS = st.lists(st.sampled_from([uuid.UUID(int=number) for number in range(12)]), unique=True)


@given(IDS, IDS, st.integers(1, 100))
def test_scores_fall_and_keep_each_order(
    first: list[uuid.UUID], second: list[uuid.UUID], constant: int
):
    scores = fused([Ranks(first), Ranks(second)], constant)
    assert set(scores) == {*first, *second}
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert all(0 < score <= 1 + 1e-9 for score in scores.values())
    for ranking, other in ((first, second), (second, first)):
        alone = [one for one in ranking if one not in other]
        assert [one for one in scores if one in alone] == alone
