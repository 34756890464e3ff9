"""Find out from what is said what speakers are called: suggestions with quotes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from pipelines.language import instructions
from pipelines.language.asking import Inquiry, each_section, sections_for
from pipelines.language.base import Conversation, Work
from pipelines.language.budget import answer_tokens
from pipelines.language.evidence import (
    SUREST,
    Evidence,
    EvidenceKind,
    PeopleAnswer,
    Predicted,
    checked,
)
from pipelines.language.listing import listed
from pipelines.language.people import same_name
from pipelines.language.reading import lines_of
from pipelines.language.schemas import (
    Schema,
    choice,
    items,
    record,
    share,
    sized,
    text,
    titled,
)
from pipelines.language.sections import line_tokens
from pipelines.language.structured import Questions
from serving.language import TokenUsage

__all__ = ["SHARE", "Evidence", "Identified", "Predicted", "identify"]

SHARE: Mapping[str, float] = {"reading": 1.0}
"""Stages of an identification, and about what share of its time they take."""
STAGE = "identify"

ANSWER_SHARE = 8
"""Of the context; names are short."""
LEAST_CONFIDENCE = 0.5
"""Below it a prediction is not worth a person's attention: the seed's threshold."""


@dataclass(frozen=True, slots=True)
class Identified:
    """All predictions, and what they took."""

    predictions: tuple[Predicted, ...]
    """The surest first."""
    usage: TokenUsage


def people_schema(size: float, width: float) -> Schema:
    """Of PeopleAnswer; first what speaks for a name, then the name."""
    evidence = record(kind=choice(list(EvidenceKind)), quote=text(120 * width))
    person = record(
        label=text(40),
        evidence=items(1 + size, evidence),
        reasoning=text(120 * width),
        name=text(40),
        confidence=share(),
    )
    return titled("people", record(speakers=items(2 + 2 * size, person)))


async def identify(
    conversation: Conversation, labels: Mapping[str, str], known_names: Sequence[str], work: Work
) -> Identified:
    """Predict names of the speakers that have none.

    Args:
        conversation: what is said.
        labels: of each speaker as shown, the label; who is shown under another name has one.
        known_names: people that the user knows; their spelling is taken.
        work: the model, and what work on it may use.

    Raises:
        ContextExceeded: the prompt leaves no room for a transcript; the message has the numbers.
        LlmOutputInvalid: an answer does not fit, also when asked again.
        SpeechError: the provider failed (see `serving.ports.LanguageModel`).
    """
    questions = Questions(work, STAGE)
    asked = [shown for shown, label in labels.items() if shown == label]
    lines = lines_of(conversation)
    speaking = [label for label in asked if any(line.speaker == label for line in lines)]
    if not speaking:
        return Identified((), questions.usage)
    inquiry = await _inquiry(work, speaking, known_names)
    allowed = await inquiry.budget(work)
    tokens = await line_tokens(lines, work.model.count_tokens)
    sections = [
        section
        for section in await sections_for(work, inquiry, allowed, lines, tokens)
        if any(line.speaker in speaking for line in section.lines)
    ]
    answered = await each_section(work, questions, inquiry, sections, "reading")
    found = [
        predicted
        for section, answer in answered
        for predicted in checked(section, answer, speaking, known_names)
    ]
    return Identified(tuple(merged(found)), questions.usage)


async def _inquiry(
    work: Work, labels: Sequence[str], known_names: Sequence[str]
) -> Inquiry[PeopleAnswer]:
    context = work.model.connection.context_tokens
    most = answer_tokens(context, ANSWER_SHARE)
    schema = sized(people_schema, most, instructions.USUAL_CHARACTERS_PER_TOKEN)
    names = await listed(known_names, context, work.model.count_tokens)
    compose = instructions.framed(
        instructions.PEOPLE,
        "en",
        labels=", ".join(labels),
        known=f"Known people: {names}. " if names else "",
    )
    return Inquiry(compose, PeopleAnswer, schema, most)


def merged(found: Sequence[Predicted]) -> list[Predicted]:
    """One prediction of each speaker and name from those of all sections, the surest first.

    Sections that agree make it surer; sections that say another name make it less sure.
    """
    by_speaker: defaultdict[str, list[list[Predicted]]] = defaultdict(list)
    for one in found:
        names = by_speaker[one.speaker]
        for same in names:
            if any(same_name(one.name, other.name) for other in same):
                same.append(one)
                break
        else:
            names.append([one])
    kept = [
        prediction
        for names in by_speaker.values()
        for same in names
        if (prediction := _merged(same, names)).confidence >= LEAST_CONFIDENCE
    ]
    return sorted(kept, key=lambda one: (-one.confidence, one.speaker))


def _merged(same: Sequence[Predicted], all_names: Sequence[Sequence[Predicted]]) -> Predicted:
    surest = max(same, key=lambda one: one.confidence)
    agreed = 1 - prod(1 - one.confidence for one in same)
    ceiling = max(SUREST[each.kind] for one in same for each in one.evidence)
    weight = sum(one.confidence for one in same)
    total = sum(one.confidence for names in all_names for one in names)
    evidence = {(each.quote, each.start): each for one in same for each in one.evidence}
    return Predicted(
        surest.speaker,
        max((one.name for one in same), key=lambda name: (len(name.split()), len(name))),
        round(min(agreed, ceiling) * weight / total, 3) if total else 0.0,
        surest.reasoning,
        tuple(sorted(evidence.values(), key=lambda each: each.start)),
    )
