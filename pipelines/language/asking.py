"""One question about every section of a transcript, many at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from pipelines.language.base import Work
from pipelines.language.budget import Budget, budget, counted
from pipelines.language.reading import Line
from pipelines.language.sections import EMPTY, Section, cut, fitted, smaller
from pipelines.language.structured import AnswerCut, Model, Question, Questions
from pipelines.stages.base import together
from serving.errors import ContextExceeded
from serving.language import ChatMessage

MOST_HALVINGS = 3
"""How often a section is halved whose answer does not fit. An eighth that does not either is the
model's fault."""

Compose = Callable[[str], tuple[ChatMessage, ...]]
"""The messages with some material put in."""


@dataclass(frozen=True, slots=True)
class Inquiry(Generic[Model]):
    """What is asked about sections."""

    compose: Compose
    answer: type[Model]
    schema: Mapping[str, Any]
    max_tokens: int
    """Of an answer."""
    copies: int = 1
    """How often the messages hold the material."""

    def question(self, work: Work, material: str) -> Question[Model]:
        """The question about some material."""
        temperature = work.model.connection.temperature
        messages = self.compose(material)
        return Question(messages, self.answer, self.schema, self.max_tokens, temperature)

    async def budget(self, work: Work, frame: str = EMPTY) -> Budget:
        """The budget of its calls.

        Raises:
            ContextExceeded: its prompt leaves no room for material.
        """
        return await budget(
            work.model, self.compose(frame), self.schema, self.max_tokens, self.copies
        )


async def sections_for(
    work: Work,
    inquiry: Inquiry[Model],
    allowed: Budget,
    lines: Sequence[Line],
    tokens: Sequence[int],
) -> list[Section]:
    """Sections that fit into this inquiry's calls, as they are really sent.

    Raises:
        ContextExceeded: none do.
    """

    async def fits(sections: Sequence[Section]) -> list[bool]:
        prompts = [inquiry.compose(section.shown) for section in sections]
        tokens = await counted(work.model, prompts, inquiry.schema)
        return [many <= allowed.limit for many in tokens]

    sections = await cut(lines, tokens, allowed.room, work.model.count_tokens)
    return await fitted(sections, fits)


async def each_section(
    work: Work,
    questions: Questions,
    inquiry: Inquiry[Model],
    sections: Sequence[Section],
    stage: str,
) -> list[tuple[Section, Model]]:
    """Every section with its answer, in order; those whose answer did not fit, as halves.

    Raises:
        AnswerCut: an eighth of a section needs more room for its answer than there is.
        ContextExceeded: the provider says that an eighth of a section does not fit.
    """
    total = sum(_seconds(section) for section in sections)
    done = 0.0
    work.progress(stage, done, total)

    async def one(section: Section, halvings: int) -> list[tuple[Section, Model]]:
        nonlocal done
        try:
            answer = await questions.ask(inquiry.question(work, section.shown))
        except (AnswerCut, ContextExceeded) as error:
            parts = _parts(section, error)
            if halvings == MOST_HALVINGS or parts is None:
                raise
            deeper = halvings + (len(parts) > 1)
            answered = await together(one(part, deeper) for part in parts)
            return [pair for pairs in answered for pair in pairs]
        done += _seconds(section)
        work.progress(stage, min(done, total), total)
        return [(section, answer)]

    answered = await together(one(section, 0) for section in sections)
    return [pair for pairs in answered for pair in pairs]


def _parts(section: Section, error: Exception) -> tuple[Section, ...] | None:
    """What is asked instead of a section that did not fit; None: it cannot be made smaller."""
    if len(section.lines) == 1 and len(section.lines[0].text) < 2:
        return None
    return section.halved() if isinstance(error, AnswerCut) else smaller(section)


def _seconds(section: Section) -> float:
    # A section without length counts as well: it is a call.
    return max(1.0, section.end - section.start)
