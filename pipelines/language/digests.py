"""Notes of sections in short: what is merged, again and again, until all of it fits into one call.

Only prose shrinks here. Topics stand for themselves and are counted: each of every section's is in
exactly one topic of any digest, whatever a model answers.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rapidfuzz import fuzz

from pipelines.language.answers import GroupAnswer
from pipelines.language.notes import SectionNotes
from pipelines.language.reading import clipped, interval

Member = tuple[int, int]
"""Number of a section, and place of a topic among its topics."""

TITLES_SHARE = 0.6
"""What titles of topics may take of a digest that has to be shorter; the summary has the rest."""
STEP = 0.9
"""A digest that is too long is cut to a little less than seems needed: counts are not lengths."""
NOTES, NOTES_END = "<notes>", "</notes>"


@dataclass(frozen=True, slots=True)
class Topic:
    """Topics of sections that belong together."""

    title: str
    members: tuple[Member, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Digest:
    """A stretch of the recording."""

    first: int
    last: int
    """Numbers of its sections."""
    start: float
    end: float
    summary: str
    topics: tuple[Topic, ...]

    def shown(self, number: int) -> str:
        """As a model reads it; its topics are numbered from `number` on."""
        sections = f"Section {self.first}"
        if self.last > self.first:
            sections = f"Sections {self.first} to {self.last}"
        titles = [f"{number + place}. {topic.title}" for place, topic in enumerate(self.topics)]
        lines = [f"{sections} {interval(self.start, self.end)}", self.summary, "Topics:", *titles]
        return "\n".join(filter(None, lines))

    @property
    def titles_length(self) -> int:
        """Characters of its topics' titles."""
        return sum(len(topic.title) for topic in self.topics)

    def shortened(self, factor: float) -> "Digest":
        """About so much of it: less prose, then fewer topics, then shorter titles.

        Every call takes something away, until nothing is left but a title of one character.
        """
        length = int(factor * (len(self.summary) + self.titles_length))
        topics = self.topics
        while len(topics) > 1 and sum(len(one.title) for one in topics) > TITLES_SHARE * length:
            topics = closest_joined(topics)
        if len(topics) == 1 and len(topics[0].title) > max(1, length):
            topics = (replace(topics[0], title=clipped(topics[0].title, max(1, length))),)
        left = max(0, length - sum(len(topic.title) for topic in topics))
        return replace(self, topics=topics, summary=clipped(self.summary, left))


def digest_of(notes: SectionNotes) -> Digest:
    """The digest of one section."""
    topics = tuple(
        Topic(topic.title, ((notes.number, place),), topic.summary)
        for place, topic in enumerate(notes.topics)
    )
    number = notes.number
    return Digest(number, number, notes.start, notes.end, notes.summary, topics)


def material(digests: Sequence[Digest], beside: str = "") -> str:
    """Digests as one text, their topics numbered through."""
    number, shown = 1, []
    for digest in digests:
        shown.append(digest.shown(number))
        number += len(digest.topics)
    body = "\n\n".join([*shown, beside] if beside else shown)
    return f"{NOTES}\n{body}\n{NOTES_END}"


EMPTY_NOTES = f"{NOTES}\n{NOTES_END}"


def merged(digests: Sequence[Digest], summary: str, groups: Iterable[GroupAnswer]) -> Digest:
    """One digest of several, with a model's summary and its groups of topics."""
    topics = grouped([topic for digest in digests for topic in digest.topics], groups)
    first, last = digests[0], digests[-1]
    end = max(digest.end for digest in digests)
    return Digest(first.first, last.last, first.start, end, summary, tuple(topics))


def grouped(topics: Sequence[Topic], groups: Iterable[GroupAnswer]) -> list[Topic]:
    """The topics in a model's groups, by number from 1, each in one: the first that names it.

    Those that the model forgot stay topics of their own; numbers that there are not count for
    nothing.
    """
    free = dict(enumerate(topics, 1))
    found: list[Topic] = []
    for group in groups:
        taken = [free.pop(number) for number in group.members if number in free]
        if taken:
            members = sorted(member for topic in taken for member in topic.members)
            title = group.title or taken[0].title
            found.append(Topic(title, tuple(members), group.summary))
    return sorted([*found, *free.values()], key=lambda topic: topic.members[0])


def closest_joined(topics: Sequence[Topic]) -> tuple[Topic, ...]:
    """One topic fewer: the two neighbours with the most similar titles become one.

    It keeps the title of the one that stands for more.
    """
    pairs = list(pairwise(topics))
    likeness = [fuzz.token_set_ratio(one.title, other.title) for one, other in pairs]
    # Of pairs that are equally alike the one that stands for least, so that no topic swallows all.
    place = min(
        range(len(pairs)),
        key=lambda at: (-likeness[at], sum(len(topic.members) for topic in pairs[at])),
    )
    one, other = pairs[place]
    larger = max(one, other, key=lambda topic: len(topic.members))
    joined = replace(larger, members=tuple(sorted((*one.members, *other.members))))
    return (*topics[:place], joined, *topics[place + 2 :])


Counted = Callable[[Sequence[Sequence[Digest]]], Awaitable[list[int]]]
"""Tokens of the prompts that hold these digests."""


async def fitting(
    groups: Sequence[Sequence[Digest]], limit: int, count: Counted
) -> list[tuple[Digest, ...]]:
    """Each group, its digests shortened until the prompt that holds them has no more tokens.

    It ends: digests get shorter every time, down to a character each.
    """
    done = [tuple(group) for group in groups]
    counts = await count(done)
    while long := [number for number, many in enumerate(counts) if many > limit]:
        for number in long:
            done[number] = shorter(done[number], STEP * limit / counts[number])
        again = await count([done[number] for number in long])
        for number, many in zip(long, again, strict=True):
            counts[number] = many
    return done


def shorter(digests: Sequence[Digest], factor: float) -> tuple[Digest, ...]:
    """All of them shortened; ValueError if nothing of them is left to take away."""
    found = tuple(digest.shortened(factor) for digest in digests)
    if found == tuple(digests):
        raise ValueError("these digests cannot be shorter")
    return found
