"""Digests of sections merged by a model, round after round, until all fit into one call."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.language.answers import FinalAnswer, MergedAnswer
from pipelines.language.asking import Inquiry
from pipelines.language.base import Work
from pipelines.language.budget import Budget, counted
from pipelines.language.digests import Digest, fitting, material, merged, shorter
from pipelines.language.sections import packed
from pipelines.language.structured import AnswerCut, Questions
from pipelines.stages.base import together
from serving.errors import ContextExceeded

MOST_SHORTENINGS = 3
"""How often digests are halved that the provider counts more tokens of than we do."""


@dataclass(frozen=True, slots=True)
class Merging:
    """What is merged with what: the calls that merge, and the last one that all has to fit into."""

    work: Work
    questions: Questions
    merge: Inquiry[MergedAnswer]
    merge_budget: Budget
    final: Inquiry[FinalAnswer]
    final_budget: Budget

    async def down(self, digests: Sequence[Digest], stage: str) -> tuple[tuple[Digest, ...], int]:
        """Digests that fit into the last call, and how many rounds of merging that took.

        Every round leaves at most half of them, and one alone is shortened until it fits: it ends.

        Raises:
            ContextExceeded: the context has no room for even the shortest digests.
        """
        rounds, current = 0, tuple(digests)
        while len(current) > 1 and not await self._fits(current):
            rounds += 1
            current = await self._round(current)
            # How many rounds there will be is not known: each takes half of what is left.
            self.work.progress(stage, 1.0 - 0.5**rounds, 1.0)
        try:
            [fitted] = await fitting([current], self.final_budget.limit, self._final_tokens)
        except ValueError as error:
            raise _no_room(self.final_budget) from error
        self.work.progress(stage, 1.0, 1.0)
        return fitted, rounds

    async def _fits(self, digests: tuple[Digest, ...]) -> bool:
        [tokens] = await self._final_tokens([digests])
        return tokens <= self.final_budget.limit

    async def _round(self, digests: tuple[Digest, ...]) -> tuple[Digest, ...]:
        room = self.merge_budget.room
        try:
            # Two always fit into a call, so there are fewer afterwards.
            alone = await fitting([(one,) for one in digests], room // 2, self._tokens)
            tokens = await self._tokens(alone)
            ranges = packed(tokens, room)
            groups = [tuple(one for [one] in alone[start:end]) for start, end in ranges]
            fitted = await fitting(groups, self.merge_budget.limit, self._merge_tokens)
        except ValueError as error:
            raise _no_room(self.merge_budget) from error
        return tuple(await together(self._merged(group) for group in fitted))

    async def _merged(self, group: tuple[Digest, ...]) -> Digest:
        if len(group) == 1:
            return group[0]
        for shortening in range(MOST_SHORTENINGS + 1):
            question = self.merge.question(self.work, material(group))
            try:
                answer = await self.questions.ask(question)
            except (ContextExceeded, AnswerCut):
                if shortening == MOST_SHORTENINGS:
                    raise
                group = shorter(group, 0.5)
            else:
                return merged(group, answer.summary, answer.topics)
        raise AssertionError("the last one raises")

    async def _tokens(self, groups: Sequence[Sequence[Digest]]) -> list[int]:
        return await self.work.model.count_tokens([material(group) for group in groups])

    async def _merge_tokens(self, groups: Sequence[Sequence[Digest]]) -> list[int]:
        prompts = [self.merge.compose(material(group)) for group in groups]
        return await counted(self.work.model, prompts, self.merge.schema)

    async def _final_tokens(self, groups: Sequence[Sequence[Digest]]) -> list[int]:
        prompts = [self.final.compose(material(group)) for group in groups]
        return await counted(self.work.model, prompts, self.final.schema)


def _no_room(allowed: Budget) -> ContextExceeded:
    return ContextExceeded(
        f"The model's context of {allowed.context} tokens has room for {allowed.room} tokens of "
        "notes, which is too few to merge any."
    )
