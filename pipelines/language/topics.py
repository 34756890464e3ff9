"""Suggest tags and collections for a recording, those that exist already before new ones."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from rapidfuzz import fuzz, process

from pipelines.language import instructions
from pipelines.language.answers import Answer, Confidence, Nullable, Text
from pipelines.language.asking import Inquiry, each_section, sections_for
from pipelines.language.base import Conversation, Work
from pipelines.language.budget import answer_tokens
from pipelines.language.listing import listed
from pipelines.language.reading import lines_of
from pipelines.language.schemas import Schema, items, record, share, sized, text, titled
from pipelines.language.sections import line_tokens
from pipelines.language.structured import Questions
from serving.language import TokenUsage

SHARE: Mapping[str, float] = {"reading": 1.0}
"""Stages of an extraction, and about what share of its time they take."""
STAGE = "topics"

ANSWER_SHARE = 8
"""Of the context; labels are short."""
MOST_TAGS = 10
MOST_COLLECTIONS = 3
LONGEST_TAG = 50
LONGEST_COLLECTION = 255
SAME = 85
"""Likeness (0..100) from which two names are one."""
ALONE = 0.6
"""What is left of the confidence in a label that one of very many sections suggests."""


@dataclass(frozen=True, slots=True)
class Suggested:
    """A label, and why."""

    name: str
    confidence: float
    rationale: str


@dataclass(frozen=True, slots=True)
class Topics:
    """What is suggested, the surest first, and what it took."""

    tags: tuple[Suggested, ...]
    collections: tuple[Suggested, ...]
    usage: TokenUsage


class LabelAnswer(Answer):
    """A label that a model suggests."""

    name: Text = ""
    rationale: Text = ""
    confidence: Confidence = 0.0


class LabelsAnswer(Answer):
    """The labels that a model suggests for a section."""

    tags: Annotated[tuple[LabelAnswer, ...], Nullable] = ()
    collections: Annotated[tuple[LabelAnswer, ...], Nullable] = ()


def labels_schema(size: float, width: float) -> Schema:
    """Of LabelsAnswer."""
    label = record(name=text(40), rationale=text(120 * width), confidence=share())
    return titled(
        "labels",
        record(
            tags=items(min(MOST_TAGS, 3 + 3 * size), label),
            collections=items(min(MOST_COLLECTIONS, 1 + size), label),
        ),
    )


async def extract_topics(
    conversation: Conversation, tags: Sequence[str], collections: Sequence[str], work: Work
) -> Topics:
    """Suggest at most ten tags and three collections.

    Args:
        conversation: what is said; at least something.
        tags: those that the user has, most used first; near duplicates become these.
        collections: the same.
        work: the model, and what work on it may use.

    Raises:
        ContextExceeded: the prompt leaves no room for a transcript; the message has the numbers.
        LlmOutputInvalid: an answer does not fit, also when asked again.
        SpeechError: the provider failed (see `serving.ports.LanguageModel`).
    """
    lines = lines_of(conversation)
    if not lines:
        raise ValueError("nothing is said in this conversation")
    questions = Questions(work, STAGE)
    inquiry = await _inquiry(work, conversation.language or "en", tags, collections)
    allowed = await inquiry.budget(work)
    tokens = await line_tokens(lines, work.model.count_tokens)
    sections = await sections_for(work, inquiry, allowed, lines, tokens)
    answered = await each_section(work, questions, inquiry, sections, "reading")
    answers = [answer for _, answer in answered]
    return Topics(
        tuple(supported([one.tags for one in answers], tags, LONGEST_TAG)[:MOST_TAGS]),
        tuple(
            supported([one.collections for one in answers], collections, LONGEST_COLLECTION)[
                :MOST_COLLECTIONS
            ]
        ),
        questions.usage,
    )


async def _inquiry(
    work: Work, language: str, tags: Sequence[str], collections: Sequence[str]
) -> Inquiry[LabelsAnswer]:
    context = work.model.connection.context_tokens
    most = answer_tokens(context, ANSWER_SHARE)
    schema = sized(labels_schema, most, instructions.characters_per_token(language))
    count = work.model.count_tokens
    compose = instructions.framed(
        instructions.LABELLING,
        language,
        tags=await listed(tags, context, count) or "none",
        collections=await listed(collections, context, count) or "none",
    )
    return Inquiry(compose, LabelsAnswer, schema, most)


def supported(
    sections: Sequence[Iterable[LabelAnswer]], existing: Sequence[str], longest: int
) -> list[Suggested]:
    """The labels of all sections, the surest first.

    A label that few of many sections suggest is less sure than each of them says.
    """
    found: defaultdict[str, dict[int, LabelAnswer]] = defaultdict(dict)
    for number, labels in enumerate(sections):
        for label in labels:
            if name := _name(label.name, existing, list(found), longest):
                before = found[name].get(number)
                if before is None or before.confidence < label.confidence:
                    found[name][number] = label
    merged = [
        Suggested(
            name,
            _confidence(list(of.values()), len(sections)),
            max(of.values(), key=lambda label: label.confidence).rationale,
        )
        for name, of in found.items()
    ]
    return sorted(merged, key=lambda one: (-one.confidence, one.name))


def _name(written: str, existing: Sequence[str], found: Sequence[str], longest: int) -> str | None:
    """The label that is meant: one that exists, one that was suggested before, else a new one."""
    clean = " ".join(written.replace("#", " ").split()).strip(" .,;:\"'")
    if not any(letter.isalnum() for letter in clean):
        return None
    for names in (existing, found):
        best = process.extractOne(
            clean.casefold(),
            [name.casefold() for name in names],
            scorer=fuzz.ratio,
            score_cutoff=SAME,
        )
        if best:
            return names[best[2]]
    return clean if len(clean) <= longest else None


def _confidence(labels: Sequence[LabelAnswer], sections: int) -> float:
    mean = sum(label.confidence for label in labels) / len(labels)
    return round(mean * (ALONE + (1 - ALONE) * len(labels) / sections), 3)
