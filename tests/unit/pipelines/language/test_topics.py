"""Tags and collections: few, those that exist first, and no surer than the sections are."""

import pytest

from pipelines.language.topics import (
    MOST_COLLECTIONS,
    MOST_TAGS,
    LabelAnswer,
    extract_topics,
    supported,
)
from tests.fixtures.language import Memory, Watched, conversation, engine_model, work_with
from tests.fixtures.planted import chatter

TALK = conversation(
    ("Anna", 0, 9, "The bicycles in the warehouse sell well, and the warehouse is full."),
    ("Bob", 9, 20, "Then we should talk about the budget for the bicycles."),
)


def labels(*pairs) -> list[LabelAnswer]:
    return [LabelAnswer(name=name, confidence=sure, rationale=name) for name, sure in pairs]


def names(sections, existing=(), longest=50) -> list[str]:
    return [one.name for one in supported(sections, existing, longest)]


async def test_labels_that_exist_are_told_and_taken():
    model = Watched(engine_model(4096))
    found = await extract_topics(TALK, ["Budget", "Holidays"], ["Warehouse"], work_with(model))
    assert "Budget" in [one.name for one in found.tags]
    assert "Holidays" not in [one.name for one in found.tags]
    assert found.collections[0].name == "Warehouse"
    assert "Existing tags: Budget, Holidays." in model.requests[0].messages[-1].content
    assert found.usage.calls == 1


async def test_there_are_few_and_the_surest_come_first():
    found = await extract_topics(chatter(60), [], [], work_with(engine_model(2048)))
    assert 0 < len(found.tags) <= MOST_TAGS
    assert len(found.collections) <= MOST_COLLECTIONS
    sure = [one.confidence for one in found.tags]
    assert sure == sorted(sure, reverse=True)


async def test_an_attempt_after_a_crash_repeats_nothing():
    memory = Memory()
    found = await extract_topics(chatter(30), [], [], work_with(engine_model(2048), memory))
    again = Watched(engine_model(2048))
    assert await extract_topics(chatter(30), [], [], work_with(again, memory)) == found
    assert not again.requests


async def test_nothing_said_has_no_topics():
    with pytest.raises(ValueError, match="nothing is said"):
        await extract_topics(conversation(), [], [], work_with(engine_model(2048)))


def test_near_duplicates_are_the_label_that_exists():
    assert names([labels(("#Budgets", 0.7)), labels(("budget", 0.6))], ["Budget"]) == ["Budget"]
    assert names([labels(("bicycle", 0.7), ("Bicycles", 0.5))]) == ["bicycle"]


def test_what_one_of_many_sections_suggests_is_less_sure():
    sections = [
        labels(("sales", 0.9)),
        labels(("sales", 0.9), ("rain", 0.9)),
        [],
        labels(("sales", 0.9)),
    ]
    sales, rain = supported(sections, [], 50)
    assert (sales.name, rain.name) == ("sales", "rain")
    assert rain.confidence < sales.confidence <= 0.9
    [alone] = supported([labels(("sales", 0.9))], [], 50)
    assert alone.confidence == 0.9


def test_what_is_no_label_is_left_out():
    assert names([labels(("", 0.9), ("#", 0.9), ("a" * 51, 0.9), (' "Sales." ', 0.9))]) == ["Sales"]
    assert names([labels(("a" * 51, 0.9))], longest=255) == ["a" * 51]
