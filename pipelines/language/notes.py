"""Notes of one section: what a model answered, with times and speakers that code computed."""

from collections.abc import Sequence

from pydantic import Field

from pipelines.language.answers import ActionAnswer, DecisionAnswer, NotesAnswer, TopicAnswer
from pipelines.language.bluf import ActionItem, KeyDecision, Part
from pipelines.language.people import known
from pipelines.language.places import Places
from pipelines.language.reading import Line, clipped, clock
from pipelines.language.sections import Section

TITLE_CHARACTERS = 60
"""Of a topic that has the first sentence of a section's summary for its title."""
NOBODY = frozenset({"none", "n/a", "na", "null", "unknown", "unassigned", "tbd", "-", "nobody"})
"""What models write where nothing was said."""
SELF = frozenset({"i", "me", "myself"})


class Point(Part):
    """Something worth keeping, and when it was said where that was found."""

    text: str
    start: float | None = None

    @property
    def shown(self) -> str:
        """With its time."""
        return self.text if self.start is None else f"{self.text} [{clock(self.start)}]"


class NotedTopic(Part):
    """A topic of one section."""

    title: str
    summary: str = ""
    points: tuple[Point, ...] = ()
    start: float
    end: float
    participants: tuple[str, ...] = ()


class Contribution(Part):
    """What a speaker contributed to a section."""

    speaker: str
    contribution: str


class SectionNotes(Part):
    """What was noted of one section."""

    number: int
    """From 1, in order of time."""
    start: float
    end: float
    summary: str
    topics: tuple[NotedTopic, ...] = Field(min_length=1)
    """At least one: what the section is about on the whole, where the model named none."""
    action_items: tuple[ActionItem, ...] = ()
    decisions: tuple[KeyDecision, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    follow_ups: tuple[str, ...] = ()


def noted(number: int, section: Section, answer: NotesAnswer) -> SectionNotes:
    """An answer's notes; every time lies in the section, every speaker speaks in it."""
    places = Places(section.lines)
    speakers = list(dict.fromkeys(line.speaker for line in section.lines))
    return SectionNotes(
        number=number,
        start=section.start,
        end=section.end,
        summary=answer.summary,
        topics=_topics(section, places, answer),
        action_items=tuple(
            _action(section, places, speakers, item) for item in answer.action_items if item.item
        ),
        decisions=tuple(
            _decision(section, places, one) for one in answer.decisions if one.decision
        ),
        contributions=tuple(
            Contribution(speaker=speaker, contribution=one.contribution)
            for one in answer.contributions
            if one.contribution and (speaker := known(one.speaker, speakers))
        ),
        follow_ups=tuple(filter(None, answer.follow_ups)),
    )


def _topics(section: Section, places: Places, answer: NotesAnswer) -> tuple[NotedTopic, ...]:
    named = [topic for topic in answer.topics if topic.title or any(topic.key_points)]
    if not named:
        title = clipped(answer.summary, TITLE_CHARACTERS)
        return (NotedTopic(title=title, start=section.start, end=section.end),)
    return tuple(_topic(section, places, topic) for topic in named)


def _topic(section: Section, places: Places, answer: TopicAnswer) -> NotedTopic:
    texts = list(filter(None, answer.key_points))
    found = [places.find(text) for text in texts]
    lines = [line for line in (*found, places.at(answer.time)) if line]
    said_by = dict.fromkeys(line.speaker for line in found if line)
    return NotedTopic(
        title=answer.title or clipped(texts[0], TITLE_CHARACTERS),
        summary=answer.summary,
        points=tuple(
            Point(text=text, start=line.start if line else None)
            for text, line in zip(texts, found, strict=True)
        ),
        start=min((line.start for line in lines), default=section.start),
        end=max((line.end for line in lines), default=section.end),
        participants=tuple(said_by),
    )


def _action(
    section: Section, places: Places, speakers: Sequence[str], answer: ActionAnswer
) -> ActionItem:
    owner = _said(answer.owner)
    line = places.find(answer.item) or places.at(answer.time)
    if line and owner and owner.casefold() in SELF:
        owner = line.speaker
    start = _start(section, line)
    return ActionItem(
        item=answer.item,
        owner=owner and (known(owner, speakers) or owner),
        due_date=_said(answer.due_date),
        priority=answer.priority,
        context=answer.context,
        mentioned_timestamp=f"[{clock(start)}]",
        start=start,
    )


def _decision(section: Section, places: Places, answer: DecisionAnswer) -> KeyDecision:
    start = _start(section, places.find(answer.decision) or places.at(answer.time))
    return KeyDecision(
        decision=answer.decision,
        context=answer.context,
        impact=answer.impact,
        stakeholders=tuple(filter(None, answer.stakeholders)),
        timestamp=f"[{clock(start)}]",
        start=start,
    )


def _start(section: Section, line: Line | None) -> float:
    return line.start if line else section.start


def _said(text: str) -> str | None:
    return None if text.casefold().strip(" .") in NOBODY else text or None
