"""Summarise a transcript of any length with a model of any context.

Where it fits, in one call. Else section by section (map); what was noted is then carried over by
code, and only prose goes through the model again, merged until it fits into the last call (reduce).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from pydantic import BaseModel

from pipelines.language import instructions, speaker_data
from pipelines.language.answers import (
    Closing,
    FinalAnswer,
    MergedAnswer,
    NotesAnswer,
    WholeAnswer,
    final_schema,
    merged_schema,
    notes_schema,
    whole_schema,
)
from pipelines.language.asking import Inquiry, each_section, sections_for
from pipelines.language.assembling import assembled, own_topics
from pipelines.language.base import Conversation, Work
from pipelines.language.bluf import Bluf, Metadata
from pipelines.language.budget import answer_tokens
from pipelines.language.closing import closed
from pipelines.language.digests import EMPTY_NOTES, Topic, digest_of
from pipelines.language.merging import Merging
from pipelines.language.notes import SectionNotes, noted
from pipelines.language.prompts import Prompt, rendered
from pipelines.language.reading import Line, clock, lines_of
from pipelines.language.schemas import Schema, sized
from pipelines.language.sections import Section, line_tokens
from pipelines.language.speaker_data import SpeakerShare
from pipelines.language.structured import AnswerCut, Questions
from serving.errors import ContextExceeded
from serving.language import TokenUsage

log = structlog.get_logger(__name__)

SHARE: Mapping[str, float] = {"reading": 0.8, "merging": 0.1, "writing": 0.1}
"""Stages of a summary, and about what share of its time they take."""

STAGE = "summarize"
"""Under this name answers are kept."""
LEAST_WHOLE = 2048
"""Tokens of an answer from which one call can say everything of what fits into the context. A model
with a smaller context gets two smaller steps for what a larger answer would be due to."""
FORM_SHARE = 2
"""A form is one of so many parts of what it is about: small models fill it, with what was said and
then with what was not."""
LEAST_FORM = 192
"""Tokens of the smallest form."""
MARK = "\ufffc"

Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class MadeSummary:
    """A summary, and what it was made of."""

    content: Bluf
    sections: tuple[SectionNotes, ...]
    """Notes of every section, in order of time; one: the whole transcript."""
    usage: TokenUsage
    method: str
    """`single` or `sections`."""


async def summarize(
    conversation: Conversation, prompt: Prompt, language: str, work: Work
) -> MadeSummary:
    """Summarise a conversation in which something is said, in a language (a code such as `de`).

    Raises:
        ContextExceeded: the prompt leaves no room for a transcript; the message has the numbers.
        LlmOutputInvalid: an answer does not fit, also when asked again.
        SpeechError: the provider failed (see `serving.ports.LanguageModel`).
    """
    lines = lines_of(conversation)
    if not lines:
        raise ValueError("nothing is said in this conversation")
    tokens = await line_tokens(lines, work.model.count_tokens)
    summary = _Summary(
        conversation, prompt, language, work, lines, tokens, speaker_data.shares(conversation)
    )
    return await summary.make()


@dataclass(frozen=True, slots=True)
class _Summary:
    """A summary in the making."""

    conversation: Conversation
    prompt: Prompt
    language: str
    work: Work
    lines: Sequence[Line]
    tokens: Sequence[int]
    """Of each line."""
    speakers: Sequence[SpeakerShare]
    started: float = field(default_factory=time.monotonic)

    async def make(self) -> MadeSummary:
        """Do it."""
        questions = Questions(self.work, STAGE)
        return await self._in_one(questions) or await self._by_sections(questions)

    async def _in_one(self, questions: Questions) -> MadeSummary | None:
        """The summary in one call; None: it takes several."""
        if self._answer_tokens < min(LEAST_WHOLE, self._due_tokens):
            return None
        inquiry = self._inquiry(instructions.WHOLE, WholeAnswer, whole_schema)
        try:
            allowed = await inquiry.budget(self.work)
            if sum(self.tokens) > allowed.room:
                return None
            [section, *more] = await sections_for(
                self.work, inquiry, allowed, self.lines, self.tokens
            )
            if more:
                return None
            self.work.progress("writing", 0.0, 1.0)
            answer = await questions.ask(inquiry.question(self.work, section.shown))
        except (AnswerCut, ContextExceeded) as error:
            # Its frame or its answer is longer, or the provider counts more, than there is room
            # for; sections have shorter ones.
            log.info("a transcript is summarised in sections after all", reason=error.message)
            return None
        notes = await asyncio.to_thread(noted, 1, section, answer.notes)
        topics = own_topics([notes])
        return await self._made(questions, [notes], topics, answer, "single", 0)

    async def _by_sections(self, questions: Questions) -> MadeSummary:
        inquiry = self._inquiry(instructions.NOTES, NotesAnswer, notes_schema)
        merging = await self._merging(questions)
        allowed = await inquiry.budget(self.work)
        sections = await sections_for(self.work, inquiry, allowed, self.lines, self.tokens)
        answered = await each_section(self.work, questions, inquiry, sections, "reading")
        notes = await asyncio.to_thread(_all_noted, answered)
        digests, rounds = await merging.down([digest_of(one) for one in notes], "merging")
        self.work.progress("writing", 0.0, 1.0)
        answer, topics = await closed(merging, digests, notes)
        return await self._made(questions, notes, topics, answer, "sections", rounds)

    async def _merging(self, questions: Questions) -> Merging:
        merge = Inquiry(
            instructions.framed(instructions.MERGE, self.language),
            MergedAnswer,
            self._sized(merged_schema),
            self._answer_tokens,
        )
        final = self._inquiry(instructions.FINAL, FinalAnswer, final_schema)
        return Merging(
            self.work,
            questions,
            merge,
            await merge.budget(self.work, EMPTY_NOTES),
            final,
            await final.budget(self.work, EMPTY_NOTES),
        )

    async def _made(
        self,
        questions: Questions,
        notes: Sequence[SectionNotes],
        topics: Sequence[Topic],
        closing: Closing,
        method: str,
        rounds: int,
    ) -> MadeSummary:
        metadata = self._metadata(questions.usage, len(notes), method, rounds)
        content = await asyncio.to_thread(
            assembled, notes, topics, closing, self.speakers, metadata
        )
        for stage in SHARE:
            self.work.progress(stage, 1.0, 1.0)
        return MadeSummary(content, tuple(notes), questions.usage, method)

    def _inquiry(
        self, task: tuple[str, str], answer: type[Asked], make: Callable[[float, float], Schema]
    ) -> Inquiry[Asked]:
        """A question that holds the user's prompt."""
        return Inquiry(
            instructions.framed(task, self.language, self._rendered),
            answer,
            self._sized(make),
            self._answer_tokens,
            copies=self._rendered(MARK).count(MARK),
        )

    def _rendered(self, material: str) -> str:
        conversation = self.conversation
        return rendered(
            self.prompt,
            transcript=material,
            speaker_data=speaker_data.shown(
                self.speakers, self.work.model.connection.context_tokens
            ),
            title=conversation.title,
            duration=clock(conversation.duration),
            language=instructions.language_name(self.language),
        )

    def _sized(self, make: Callable[[float, float], Schema]) -> Schema:
        room = min(self._answer_tokens, self._due_tokens)
        return sized(make, room, instructions.characters_per_token(self.language))

    @property
    def _due_tokens(self) -> int:
        """Of an answer as large as the transcript deserves."""
        return max(LEAST_FORM, sum(self.tokens) // FORM_SHARE)

    @property
    def _answer_tokens(self) -> int:
        return answer_tokens(self.work.model.connection.context_tokens)

    def _metadata(self, usage: TokenUsage, sections: int, method: str, rounds: int) -> Metadata:
        connection = self.work.model.connection
        return Metadata(
            provider=connection.provider,
            model=connection.model,
            language=self.language,
            prompt_id=str(self.prompt.id),
            prompt_name=self.prompt.name,
            context_tokens=connection.context_tokens,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            calls=usage.calls,
            transcript_characters=sum(len(line.text) for line in self.lines),
            sections_processed=sections,
            merge_rounds=rounds,
            processing_method=method,
            processing_time_ms=round((time.monotonic() - self.started) * 1000),
        )


def _all_noted(answered: Sequence[tuple[Section, NotesAnswer]]) -> list[SectionNotes]:
    return [noted(number, *pair) for number, pair in enumerate(answered, 1)]
