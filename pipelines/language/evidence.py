"""What models say of speakers' names, held against what was really said, and by whom."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator
from rapidfuzz import fuzz

from pipelines.language.answers import Answer, Confidence, Needed, Nullable, Text, Word
from pipelines.language.people import known
from pipelines.language.reading import Line
from pipelines.language.sections import Section

SAME_QUOTE = 85
"""Likeness (0..100) of a quote to a stretch of a line from which it was really said."""
LEAST_OF_QUOTE = 0.8
"""A line is at least so much as long as a quote of it."""
SHORTEST_QUOTE = 4
"""Letters; anything shorter is found everywhere."""
NO_NAME = re.compile(
    r"(speaker|unknown|unidentified|participant|host|guest|caller|moderator|operator|interviewer|"
    r"narrator|man|woman|male|female|n/?a|none|null|sprecher)?[\s_#-]*\d*",
    re.IGNORECASE,
)
"""What models write for a name where they know none."""


class EvidenceKind(StrEnum):
    """How a name is known."""

    self_introduction = "self_introduction"
    """The speaker says it."""
    addressed = "addressed"
    """Somebody else calls the speaker by it."""
    mentioned = "mentioned"
    """Somebody else speaks of the speaker by it."""
    context = "context"
    """It follows from what is said."""


SUREST: Mapping[EvidenceKind, float] = {
    EvidenceKind.self_introduction: 0.95,
    EvidenceKind.addressed: 0.85,
    EvidenceKind.mentioned: 0.7,
    EvidenceKind.context: 0.6,
}
"""The most confidence that evidence of a kind carries, whatever a model says of itself."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was said, when, and how it shows a name."""

    kind: EvidenceKind
    quote: str
    start: float

    def stored(self) -> dict[str, Any]:
        """As a prediction's row has it."""
        return {"kind": self.kind.value, "quote": self.quote, "start": self.start}


@dataclass(frozen=True, slots=True)
class Predicted:
    """Whom a model takes a speaker for."""

    speaker: str
    """As the conversation shows them."""
    name: str
    confidence: float
    reasoning: str
    evidence: tuple[Evidence, ...]


def _kind_or_least(value: Any) -> Any:
    return value if value in list(EvidenceKind) else EvidenceKind.context


class EvidenceAnswer(Answer):
    """A quote; of a kind that is none of ours it says the least."""

    kind: Annotated[EvidenceKind, BeforeValidator(_kind_or_least), Word] = EvidenceKind.context
    quote: Text = ""


class PersonAnswer(Answer):
    """What a model says of one speaker."""

    label: Needed
    evidence: Annotated[tuple[EvidenceAnswer, ...], Nullable] = ()
    reasoning: Text = ""
    name: Text = ""
    confidence: Confidence = 0.0


class PeopleAnswer(Answer):
    """What a model says of the speakers of a section."""

    speakers: Annotated[tuple[PersonAnswer, ...], Nullable] = ()


def checked(
    section: Section, answer: PeopleAnswer, labels: Sequence[str], known_names: Sequence[str]
) -> Iterator[Predicted]:
    """What of an answer the section bears out: names that are said there, or known; real quotes."""
    said = "\n".join(line.text for line in (*section.before, *section.lines)).casefold()
    for person in answer.speakers:
        label = known(person.label, labels)
        if label is None or NO_NAME.fullmatch(person.name) or person.name in labels:
            continue
        name = known(person.name, known_names)
        if name is None and not _is_said(person.name, said):
            continue
        evidence = tuple(_evidence(section, label, person.evidence))
        if evidence:
            surest = max(SUREST[one.kind] for one in evidence)
            yield Predicted(
                label,
                name or person.name,
                min(person.confidence, surest),
                person.reasoning,
                evidence,
            )


def _is_said(name: str, said: str) -> bool:
    """Whether every word of a name is a word of the text."""
    return all(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in name.casefold().split()
    )


def _evidence(
    section: Section, label: str, answers: Iterable[EvidenceAnswer]
) -> Iterator[Evidence]:
    for one in answers:
        if found := _said_in(section.lines, one.quote):
            line, start = found
            yield Evidence(_kind(one.kind, line, label), one.quote, start)


def _said_in(lines: Sequence[Line], quote: str) -> tuple[Line, float] | None:
    """The line that has the quote, and when it is said; None: nobody said that."""
    wanted = " ".join(quote.casefold().split())
    if sum(letter.isalpha() for letter in wanted) < SHORTEST_QUOTE:
        return None
    found = [
        (alignment.score, -number, alignment.dest_start)
        for number, line in enumerate(lines)
        # A quote that is longer than the line would be found the other way round.
        if len(line.text) >= LEAST_OF_QUOTE * len(wanted)
        and (
            alignment := fuzz.partial_ratio_alignment(
                wanted, line.text.casefold(), score_cutoff=SAME_QUOTE
            )
        )
    ]
    if not found:
        return None
    _, number, place = max(found)
    line = lines[-number]
    return line, line.said_at(min(place, len(line.text)))


def _kind(kind: EvidenceKind, line: Line, label: str) -> EvidenceKind:
    """What a quote can be evidence of, by who says it: nobody introduces somebody else."""
    own = line.speaker == label
    if kind is EvidenceKind.self_introduction and not own:
        return EvidenceKind.mentioned
    if kind in {EvidenceKind.addressed, EvidenceKind.mentioned} and own:
        return EvidenceKind.context
    return kind
