"""Every line is in one section, in order; and every prompt leaves room for its answer."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.language.reading import Line
from pipelines.language.sections import (
    BEFORE,
    OVERLAP,
    Section,
    cut,
    fitted,
    line_tokens,
    packed,
)
from serving.engines import fake_language
from serving.errors import ContextExceeded
from tests.unit.pipelines.language.test_reading import letters

PROPERTY = settings(deadline=None, max_examples=60)
COUNTERS = {
    "pieces": fake_language.tokens,
    "words": lambda text: len(text.split()),
    "characters": len,
    "four": lambda text: -(-len(text) // 4),
    "bytes": lambda text: len(text.encode()),
}
LINES = st.lists(
    st.tuples(
        st.sampled_from(["Anna", "SPEAKER_01"]),
        st.text("abcdé漢.!?。 ", min_size=1, max_size=200).map(lambda text: " ".join(text.split())),
    ).filter(lambda pair: pair[1]),
    min_size=1,
    max_size=30,
)


def lines_of(pairs) -> list[Line]:
    return [Line(who, 10.0 * i, 10.0 * i + 9, text) for i, (who, text) in enumerate(pairs)]


def counter(name):
    async def count(texts):
        return [COUNTERS[name](text) for text in texts]

    return count


async def sections_of(lines, room, count) -> list[Section]:
    return await cut(lines, await line_tokens(lines, count), room, count)


@PROPERTY
@given(LINES, st.integers(60, 400), st.sampled_from(sorted(COUNTERS)))
async def test_everything_is_in_exactly_one_section_in_order(pairs, room, name):
    lines = lines_of(pairs)
    sections = await sections_of(lines, room, counter(name))
    content = [line for section in sections for line in section.lines]
    assert letters(line.text for line in content) == letters(line.text for line in lines)
    starts = [line.start for line in content]
    assert starts == sorted(starts)
    # Whoever fits is not cut: the whole line is in one section.
    for line in lines:
        if COUNTERS[name](line.shown + "\n") <= room - int(OVERLAP * room):
            assert sum(line in section.lines for section in sections) == 1


@PROPERTY
@given(LINES, st.integers(60, 400), st.sampled_from(sorted(COUNTERS)))
async def test_sections_fit_as_they_are_sent(pairs, room, name):
    count = counter(name)

    async def fits(sections):
        return [many <= room for many in await count([one.shown for one in sections])]

    lines = lines_of(pairs)
    sections = await fitted(await sections_of(lines, room, count), fits)
    assert all(await fits(sections))
    content = [line.text for section in sections for line in section.lines]
    assert letters(content) == letters(line.text for line in lines)


@PROPERTY
@given(LINES, st.integers(60, 400))
async def test_what_came_before_is_short_and_marked_and_no_content(pairs, room):
    sections = await sections_of(lines_of(pairs), room, counter("characters"))
    assert not sections[0].before
    for earlier, section in pairwise(sections):
        shown = "\n".join(line.shown for line in section.before)
        assert len(shown) <= OVERLAP * room
        assert (BEFORE in section.shown) == bool(section.before)
        said = "".join(line.text for line in earlier.lines)
        assert letters(line.text for line in section.before) in letters([said])


async def test_the_end_of_a_section_is_shown_before_the_next():
    lines = lines_of([("Anna", f"Sentence number {i} of some length.") for i in range(40)])
    sections = await sections_of(lines, 300, counter("words"))
    assert len(sections) > 1
    assert all(section.before for section in sections[1:])
    assert sections[1].before[-1] == sections[0].lines[-1]


@PROPERTY
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(50, 200))
def test_ranges_are_few_and_even(tokens, room):
    ranges = packed(tokens, room)
    assert [at for start, end in ranges for at in range(start, end)] == list(range(len(tokens)))
    sums = [sum(tokens[start:end]) for start, end in ranges]
    assert max(sums) <= room
    greedy, used = 1, 0
    for many in tokens:
        if used + many > room:
            greedy, used = greedy + 1, 0
        used += many
    assert len(ranges) == greedy


def test_the_last_range_is_no_leftover():
    assert packed([10] * 11, 100) == [(0, 6), (6, 11)]


async def test_times_of_a_section_are_those_of_its_lines():
    section = Section((Line("A", 5, 20, "one"), Line("B", 8, 12, "two")))
    assert (section.start, section.end) == (5, 20)


async def test_no_room_for_a_character_is_said():
    with pytest.raises(ContextExceeded, match="no room"):
        await sections_of([Line("A", 0, 1, "word")], 3, counter("characters"))


async def test_halves_of_a_section_share_its_lines():
    section = Section(tuple(lines_of([("Anna", "One two three."), ("Bob", "Four five six.")])))
    first, second = section.halved()
    assert (*first.lines, *second.lines) == section.lines
    first, second = first.halved()
    assert [first.content, second.content] == ["Anna [00:00] One two", "Anna [00:05] three."]
