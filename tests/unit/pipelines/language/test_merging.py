"""Merging ends: every round leaves at most half, whatever a model answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.language import instructions
from pipelines.language.answers import FinalAnswer, MergedAnswer, final_schema, merged_schema
from pipelines.language.asking import Inquiry
from pipelines.language.budget import MARGIN
from pipelines.language.closing import closed
from pipelines.language.digests import EMPTY_NOTES, Digest, Topic, digest_of, material
from pipelines.language.merging import Merging
from pipelines.language.notes import NotedTopic, SectionNotes
from pipelines.language.structured import Questions
from serving.errors import ContextExceeded
from serving.language import Finish, Generation, TokenUsage
from tests.fixtures.language import Watched, engine_model, unlike_model, work_with
from tests.unit.pipelines.language.test_digests import members_of
from tests.unit.pipelines.language.test_notes import action

PROPERTY = settings(deadline=None, max_examples=30)
CONTEXT = 1024


async def merging_with(model) -> Merging:
    """With what summaries ask, without a user's prompt."""
    work = work_with(model)
    merge = Inquiry(
        instructions.framed(instructions.MERGE, "en"), MergedAnswer, merged_schema(0.15, 1), 256
    )
    final = Inquiry(
        instructions.framed(instructions.FINAL, "en"), FinalAnswer, final_schema(0.15, 1), 256
    )
    return Merging(
        work,
        Questions(work, "test"),
        merge,
        await merge.budget(work, EMPTY_NOTES),
        final,
        await final.budget(work, EMPTY_NOTES),
    )


def lazy(request) -> Generation | None:
    """A model that merges nothing: it talks at length and groups no topics."""
    if request.schema["title"] != "merged":
        return None
    text = '{"summary": "' + "and then something else happened " * 40 + '", "topics": []}'
    return Generation(text, Finish.stop, TokenUsage(1, 1, 1), "lazy")


def digests(count: int, topics: int, title: str, summary: str) -> list[Digest]:
    return [
        Digest(
            number,
            number,
            60.0 * number,
            60.0 * number + 59,
            summary,
            tuple(Topic(f"{title} {number}", ((number, place),)) for place in range(topics)),
        )
        for number in range(1, count + 1)
    ]


@PROPERTY
@given(
    st.integers(1, 90),
    st.integers(1, 6),
    st.sampled_from(["Budget", "Something that was said of the weather in Ghent on Monday"]),
    st.sampled_from(["", "It rained. " * 8, "word " * 400]),
    st.booleans(),
)
async def test_merging_ends_and_loses_no_topic(count, topics, title, summary, unlike):
    model = Watched(unlike_model(CONTEXT) if unlike else engine_model(CONTEXT), lazy)
    merging = await merging_with(model)
    given_digests = digests(count, topics, title, summary)
    fitted, rounds = await merging.down(given_digests, "merging")
    assert members_of(fitted) == members_of(given_digests)
    assert (fitted[0].first, fitted[-1].last) == (1, count)
    assert 2**rounds <= 2 * count
    assert len(model.requests) <= count
    for request in model.requests:
        counts = await model.count_tokens([message.content for message in request.messages])
        assert sum(counts) + MARGIN + request.max_tokens <= CONTEXT
    [prompt] = [merging.final.compose(material(fitted))]
    counts = await model.count_tokens([message.content for message in prompt])
    assert sum(counts) + MARGIN + 256 <= CONTEXT


async def test_every_round_merges_at_least_two_and_two():
    model = Watched(engine_model(CONTEXT), lazy)
    merging = await merging_with(model)
    _, rounds = await merging.down(digests(40, 6, "Topic", "word " * 400), "merging")
    assert 2 <= rounds <= 6


async def test_digests_that_the_provider_finds_too_long_are_shortened():
    refused = 0

    def before(request):
        nonlocal refused
        if len(request.messages[-1].content) > 1300:
            refused += 1
            raise ContextExceeded
        return lazy(request)

    model = Watched(engine_model(CONTEXT), before)
    merging = await merging_with(model)
    given_digests = digests(20, 3, "Topic", "It rained. " * 20)
    fitted, _ = await merging.down(given_digests, "merging")
    assert refused
    assert members_of(fitted) == members_of(given_digests)


def sections(count: int, tasks: int) -> list[SectionNotes]:
    return [
        SectionNotes(
            number=number,
            start=60 * number,
            end=60 * number + 59,
            summary="It rained.",
            topics=(NotedTopic(title="Rain", start=60 * number, end=60 * number + 59),),
            action_items=tuple(
                action(f"Call number {number}{task}", 60 * number, owner="Anna")
                for task in range(tasks)
            ),
        )
        for number in range(1, count + 1)
    ]


async def closing_of(model, notes):
    merging = await merging_with(model)
    fitted, _ = await merging.down([digest_of(one) for one in notes], "merging")
    return await closed(merging, fitted, notes)


async def test_the_last_call_is_told_as_many_outcomes_as_there_is_room_for():
    for model in (Watched(engine_model(CONTEXT)), Watched(unlike_model(CONTEXT))):
        await closing_of(model, sections(3, 30))
        [request] = model.asked("final")
        text = request.messages[-1].content
        assert 3 <= text.count("- to do: Anna | Call number") < 90
        counts = await model.count_tokens([message.content for message in request.messages])
        assert sum(counts) + MARGIN + request.max_tokens <= CONTEXT


async def test_the_last_call_is_asked_with_less_where_the_provider_finds_it_too_long():
    def before(request):
        if request.schema["title"] == "final" and len(request.messages[-1].content) > 1200:
            raise ContextExceeded

    model = Watched(engine_model(CONTEXT), before)
    answer, topics = await closing_of(model, sections(4, 2))
    assert answer.bluf
    assert sorted(m for topic in topics for m in topic.members) == [(n, 0) for n in (1, 2, 3, 4)]


async def test_a_provider_that_finds_everything_too_long_is_given_up():
    def refuse(_):
        raise ContextExceeded

    model = Watched(engine_model(CONTEXT), refuse)
    with pytest.raises(ContextExceeded):
        await closing_of(model, sections(4, 2))
    assert len(model.requests) <= 4
