"""Digests shrink until they fit, and no topic of any section is ever lost or counted twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.language.answers import GroupAnswer
from pipelines.language.digests import (
    Digest,
    Topic,
    closest_joined,
    digest_of,
    fitting,
    grouped,
    material,
    merged,
    shorter,
)
from pipelines.language.notes import NotedTopic, SectionNotes
from serving.engines import fake_language

PROPERTY = settings(deadline=None, max_examples=60)
TEXT = st.text("abc. ", max_size=80).map(lambda text: " ".join(text.split()))
TITLES = st.lists(TEXT.map(lambda text: text or "a"), min_size=1, max_size=8)
DIGESTS = st.lists(st.tuples(TEXT, TITLES), min_size=1, max_size=6)
GROUPS = st.lists(
    st.builds(
        GroupAnswer, title=TEXT, members=st.lists(st.integers(-2, 40), max_size=9).map(tuple)
    ),
    max_size=6,
)


def digests_of(drawn) -> list[Digest]:
    return [
        Digest(
            number,
            number,
            60.0 * number,
            60.0 * number + 59,
            summary,
            tuple(Topic(title, ((number, place),)) for place, title in enumerate(titles)),
        )
        for number, (summary, titles) in enumerate(drawn, 1)
    ]


def members_of(digests) -> list[tuple[int, int]]:
    return sorted(m for digest in digests for topic in digest.topics for m in topic.members)


@PROPERTY
@given(DIGESTS, GROUPS)
def test_whatever_a_model_groups_every_topic_is_in_one_group(drawn, groups):
    digests = digests_of(drawn)
    one = merged(digests, "All of it.", groups)
    assert members_of([one]) == members_of(digests)
    assert (one.first, one.last) == (1, len(digests))
    assert (one.start, one.end) == (60.0, 60.0 * len(digests) + 59)
    assert all(topic.title for topic in one.topics)


@PROPERTY
@given(DIGESTS)
def test_shortening_takes_something_away_until_next_to_nothing_is_left(drawn):
    digests = tuple(digests_of(drawn))
    steps = 0
    while True:
        before = digests
        try:
            digests = shorter(digests, 0.9)
        except ValueError:
            break
        steps += 1
        assert sum(map(length, digests)) <= sum(map(length, before))
        assert members_of(digests) == members_of(before)
        assert steps < 1000
    assert all(len(one.topics) == 1 and len(one.topics[0].title) <= 1 for one in digests)
    assert not any(one.summary for one in digests)


def length(digest: Digest) -> int:
    return len(digest.summary) + digest.titles_length


@PROPERTY
@given(DIGESTS, st.integers(80, 500))
async def test_digests_are_shortened_until_they_fit(drawn, limit):
    async def count(groups):
        return [fake_language.tokens(material(group)) for group in groups]

    groups = [(one,) for one in digests_of(drawn)]
    fitted = await fitting(groups, limit, count)
    assert all(tokens <= limit for tokens in await count(fitted))
    assert [members_of(group) for group in fitted] == [members_of(group) for group in groups]


@PROPERTY
@given(TITLES.filter(lambda titles: len(titles) > 1))
def test_joined_topics_keep_their_members_and_order(titles):
    topics = tuple(Topic(title, ((1, place),)) for place, title in enumerate(titles))
    fewer = closest_joined(topics)
    assert len(fewer) == len(topics) - 1
    assert [m for topic in fewer for m in topic.members] == [(1, p) for p in range(len(titles))]


def test_the_most_similar_neighbours_are_joined():
    titles = ("Budget", "Holidays", "Holidays of the team", "Travel")
    topics = tuple(Topic(title, ((1, place),)) for place, title in enumerate(titles))
    assert [one.title for one in closest_joined(topics)] == ["Budget", "Holidays", "Travel"]


def test_forgotten_topics_stay_their_own_and_wrong_numbers_count_for_nothing():
    topics = [Topic(title, ((1, place),), "") for place, title in enumerate("abcd")]
    groups = [
        GroupAnswer(title="B and D", summary="Both.", members=(4, 2, 2, 9)),
        GroupAnswer(title="again", members=(2,)),
    ]
    found = grouped(topics, groups)
    assert [(one.title, one.members, one.summary) for one in found] == [
        ("a", ((1, 0),), ""),
        ("B and D", ((1, 1), (1, 3)), "Both."),
        ("c", ((1, 2),), ""),
    ]


def test_a_digest_shows_its_time_and_numbers():
    topics = tuple(NotedTopic(title=title, start=0, end=9) for title in ("One", "Two"))
    notes = SectionNotes(number=3, start=61, end=3700, summary="Talk.", topics=topics)
    shown = digest_of(notes).shown(7)
    assert shown.splitlines() == [
        "Section 3 [01:01] - [1:01:40]",
        "Talk.",
        "Topics:",
        "7. One",
        "8. Two",
    ]


def test_what_cannot_be_shorter_says_so():
    with pytest.raises(ValueError, match="cannot be shorter"):
        shorter([Digest(1, 1, 0, 1, "", (Topic("a", ((1, 0),)),))], 0.5)
