"""What benches of search are judged by."""

import json

import pytest

from tests.bench import judged
from tests.bench.judged import ABSENT, QUERIES, Answer, Judged, Place
from tests.fixtures.calls import CALLS_DIR

PASSAGES = [Place("a", second, second + 60.0) for second in range(0, 600, 60)]
JUDGED = Judged(
    "anything", "fact", [Answer(Place("a", 10, 20), 2), Answer(Place("a", 130, 140), 1)]
)


def test_the_best_ranking_is_one():
    found = judged.scores([PASSAGES[0], PASSAGES[2]], JUDGED, PASSAGES)
    assert found == (1.0, 1.0, 1.0)


def test_a_worse_order_and_a_missing_answer_are_less():
    swapped = judged.scores([PASSAGES[2], PASSAGES[0]], JUDGED, PASSAGES)
    half = judged.scores([PASSAGES[0]], JUDGED, PASSAGES)
    assert 0 < swapped.ndcg < 1
    assert swapped.recall == 1.0
    assert 0 < half.ndcg < 1
    assert half.recall == 0.5


def test_nothing_found_is_nothing():
    assert judged.scores([], JUDGED, PASSAGES) == (0.0, 0.0, 0.0)


def test_the_same_answer_counts_once():
    overlapping = Place("a", 5, 65)
    twice = judged.scores([PASSAGES[0], overlapping, PASSAGES[2]], JUDGED, [*PASSAGES, overlapping])
    late = judged.scores([PASSAGES[0], PASSAGES[5], PASSAGES[2]], JUDGED, PASSAGES)
    assert twice == late


def test_half_of_an_answer_is_enough_to_cover_it():
    assert Place("a", 0, 10).covers(Place("a", 5, 15))
    assert not Place("a", 0, 9).covers(Place("a", 5, 15))
    assert not Place("b", 0, 10).covers(Place("a", 5, 15))
    assert Place("a", 0, 10).covers(Place("a", 10, 10))


def test_queries_are_of_every_kind_and_only_absent_ones_have_no_answer():
    queries = judged.judged_queries()
    kinds = {one.kind for one in queries}
    assert kinds >= {"fact", "name", "paraphrase", "misspelling", "phrase", "question"}
    assert len(queries) - sum(one.kind == ABSENT for one in queries) >= 60
    assert len({one.query for one in queries}) == len(queries)
    for one in queries:
        assert bool(one.answers) == (one.kind != ABSENT), one.query
        assert all(answer.grade in {1, 2} for answer in one.answers), one.query


def test_both_halves_have_every_kind():
    tuned, held = judged.halves(judged.judged_queries())
    assert {one.kind for one in tuned} == {one.kind for one in held}
    assert not {one.query for one in tuned} & {one.query for one in held}


def test_no_text_of_the_calls_is_in_the_file():
    fields = {name for one in json.loads(QUERIES.read_text(encoding="utf-8")) for name in one}
    assert fields == {"kind", "query", "answers"}


@pytest.mark.skipif(not CALLS_DIR.is_dir(), reason="no calls in RAYSCRIBE_CALLS_DIR")
def test_answers_are_where_something_is_said():
    calls = judged.calls()
    for one in judged.judged_queries():
        for answer in one.answers:
            said = [Place(answer.place.call, s.start, s.end) for s in calls[answer.place.call]]
            assert any(answer.place.covers(sentence) for sentence in said), one.query
