"""What models answer when they are asked for summaries: models to validate with, and schemas.

Answers are small where the room is: fewer items, shorter texts, and below `LEAN` no field that
one can do without. Numbers stand for topics that the prompt numbered.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from pipelines.language.bluf import DetectedType, Priority, Sentiment
from pipelines.language.schemas import (
    Schema,
    choice,
    clock_text,
    integer,
    items,
    needed,
    record,
    some,
    text,
    titled,
)

LEAN = 0.5
STATEMENT = 120
"""Characters of a fact, a task, a decision."""


def _nothing(value: Any) -> Any:
    return "" if value is None else value


def _none(value: Any) -> Any:
    return () if value is None else value


def _word(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value


def _priority(value: Any) -> Any:
    return value if value in list(Priority) else Priority.medium


def _sure(value: Any) -> Any:
    if not isinstance(value, int | float):
        return value
    return max(0.0, min(1.0, value / 100 if value > 1 else value))


Text = Annotated[str, BeforeValidator(_nothing)]
"""May be missing or null: nothing is said."""
Needed = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Word = BeforeValidator(_word)
Nullable = BeforeValidator(_none)
Urgency = Annotated[Priority, BeforeValidator(_priority), Word]
"""What is none of ours says nothing of it: medium."""
Confidence = Annotated[float, BeforeValidator(_sure)]
"""From 0 to 1; some models think in percent."""


class Answer(BaseModel):
    """A part of an answer; what was not asked for is left out."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True
    )


class TopicAnswer(Answer):
    """A topic of a section."""

    title: Text = ""
    summary: Text = ""
    key_points: Annotated[tuple[Text, ...], Nullable] = ()
    time: Text = ""


class ActionAnswer(Answer):
    """What somebody is to do."""

    item: Text
    owner: Text = ""
    due_date: Text = ""
    priority: Urgency = Priority.medium
    context: Text = ""
    time: Text = ""


class DecisionAnswer(Answer):
    """What was decided."""

    decision: Text
    context: Text = ""
    impact: Text = ""
    stakeholders: Annotated[tuple[Text, ...], Nullable] = ()
    time: Text = ""


class ContributionAnswer(Answer):
    """What a speaker contributed."""

    speaker: Text
    contribution: Text


class RoleAnswer(Answer):
    """Who a speaker is in this conversation."""

    speaker: Text
    role: Text = ""


class NotesAnswer(Answer):
    """Notes of a section."""

    summary: Needed
    topics: Annotated[tuple[TopicAnswer, ...], Nullable] = ()
    action_items: Annotated[tuple[ActionAnswer, ...], Nullable] = ()
    decisions: Annotated[tuple[DecisionAnswer, ...], Nullable] = ()
    contributions: Annotated[tuple[ContributionAnswer, ...], Nullable] = ()
    follow_ups: Annotated[tuple[Text, ...], Nullable] = ()


class Closing(Answer):
    """What is said of a conversation on the whole."""

    bluf: Needed
    brief_summary: Needed
    speakers: Annotated[tuple[RoleAnswer, ...], Nullable] = ()
    overall_sentiment: Annotated[Sentiment, Word]
    content_type: Annotated[DetectedType, Word]


class WholeAnswer(Closing):
    """A summary of a transcript in one call."""

    topics: Annotated[tuple[TopicAnswer, ...], Nullable] = ()
    action_items: Annotated[tuple[ActionAnswer, ...], Nullable] = ()
    decisions: Annotated[tuple[DecisionAnswer, ...], Nullable] = ()
    contributions: Annotated[tuple[ContributionAnswer, ...], Nullable] = ()
    follow_ups: Annotated[tuple[Text, ...], Nullable] = ()

    @property
    def notes(self) -> NotesAnswer:
        """The same as notes of one section: the whole."""
        return NotesAnswer(
            summary=self.brief_summary,
            topics=self.topics,
            action_items=self.action_items,
            decisions=self.decisions,
            contributions=self.contributions,
            follow_ups=self.follow_ups,
        )


class GroupAnswer(Answer):
    """Topics that belong together, by number."""

    title: Text = ""
    summary: Text = ""
    members: Annotated[tuple[int, ...], Nullable] = ()


class MergedAnswer(Answer):
    """Notes of several sections as one."""

    summary: Needed
    topics: Annotated[tuple[GroupAnswer, ...], Nullable] = ()


class FinalAnswer(Closing):
    """A summary from the notes of all sections."""

    topics: Annotated[tuple[GroupAnswer, ...], Nullable] = ()


def notes_schema(size: float, width: float) -> Schema:
    """Of NotesAnswer."""
    summary = needed((200 + 200 * size) * width)
    return titled("notes", record(**_noted(size, width, summarised=False), summary=summary))


def whole_schema(size: float, width: float) -> Schema:
    """Of WholeAnswer."""
    closing = _closing(size, width)
    return titled("summary", record(**_noted(size, width, summarised=True), **closing))


def merged_schema(size: float, width: float) -> Schema:
    """Of MergedAnswer."""
    summary = needed((250 + 350 * size) * width)
    return titled("merged", record(topics=_groups(size, width, summarised=False), summary=summary))


def final_schema(size: float, width: float) -> Schema:
    """Of FinalAnswer."""
    topics = _groups(size, width, summarised=True)
    return titled("final", record(topics=topics, **_closing(size, width)))


def _noted(size: float, width: float, summarised: bool) -> dict[str, Schema]:
    lean = size < LEAN
    topic = {"title": text(40)}
    if summarised:
        topic["summary"] = text(250 * width)
    topic["key_points"] = some(min(8, 2.5 + size), text(STATEMENT * width))
    return {
        "topics": some(min(12, 1.5 + 1.5 * size), record(**topic, time=clock_text())),
        "action_items": items(2 + 3 * size, _action(width, lean)),
        "decisions": items(1 + 1.5 * size, _decision(width, lean)),
        "contributions": items(
            1 + 2 * size, record(speaker=text(40), contribution=text(STATEMENT * width))
        ),
        "follow_ups": items(1 + size, text(STATEMENT * width)),
    }


def _action(width: float, lean: bool) -> Schema:
    fields = {
        "item": text(STATEMENT * width),
        "owner": text(40),
        "due_date": text(40),
        "priority": choice(list(Priority)),
    }
    if not lean:
        fields["context"] = text(STATEMENT * width)
    return record(**fields, time=clock_text())


def _decision(width: float, lean: bool) -> Schema:
    fields = {"decision": text(STATEMENT * width)}
    if not lean:
        fields["context"] = text(STATEMENT * width)
        fields["impact"] = text(STATEMENT * width)
        fields["stakeholders"] = items(3, text(40))
    return record(**fields, time=clock_text())


def _groups(size: float, width: float, summarised: bool) -> Schema:
    group = {"title": text(40)}
    if summarised:
        group["summary"] = text((STATEMENT if size < LEAN else 250) * width)
    group["members"] = items(8 + 8 * size, integer())
    return some(min(16, 3 + 3 * size), record(**group))


def _closing(size: float, width: float) -> dict[str, Schema]:
    return {
        "speakers": items(3 + 3 * size, record(speaker=text(40), role=text(40))),
        "overall_sentiment": choice(list(Sentiment)),
        "content_type": choice(list(DetectedType)),
        "brief_summary": needed((300 + 500 * size) * width),
        "bluf": needed((200 + 100 * size) * width),
    }
