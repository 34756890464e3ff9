"""The last call of a summary: all digests to the bottom line, the whole in prose, and roles."""

from collections.abc import Sequence
from itertools import accumulate

from pipelines.language import duplicates
from pipelines.language.answers import FinalAnswer
from pipelines.language.budget import counted
from pipelines.language.digests import Digest, Topic, grouped, material, shorter
from pipelines.language.merging import MOST_SHORTENINGS, Merging
from pipelines.language.notes import SectionNotes
from pipelines.language.structured import AnswerCut
from serving.errors import ContextExceeded

FULL = 0.9
"""How full what is left of the context gets with outcomes: counts of lines are not exact sums."""


async def closed(
    merging: Merging, digests: tuple[Digest, ...], sections: Sequence[SectionNotes]
) -> tuple[FinalAnswer, list[Topic]]:
    """The last answer, and all topics in its groups.

    Raises:
        AnswerCut: the model needs more room for its answer than there is.
        ContextExceeded: the provider says that even much shorter digests do not fit.
    """
    beside = await _outcomes(merging, digests, sections)
    for shortening in range(MOST_SHORTENINGS + 1):
        text = material(digests, beside)
        question = merging.final.question(merging.work, text)
        try:
            answer = await merging.questions.ask(question)
        except (ContextExceeded, AnswerCut):
            if shortening == MOST_SHORTENINGS:
                raise
            digests, beside = _less(digests), ""
        else:
            topics = [topic for digest in digests for topic in digest.topics]
            return answer, grouped(topics, answer.topics)
    raise AssertionError("the last one raises")


def _less(digests: tuple[Digest, ...]) -> tuple[Digest, ...]:
    try:
        return shorter(digests, 0.5)
    except ValueError as error:
        raise ContextExceeded(
            "Not even the shortest notes fit into the model's context."
        ) from error


async def _outcomes(
    merging: Merging, digests: tuple[Digest, ...], sections: Sequence[SectionNotes]
) -> str:
    """Decisions and tasks, as many as the context still has room for: prose is to speak of them.

    The summary lists all of them, whether or not they stand here.
    """
    lines = _lines(sections)
    if not lines:
        return ""
    allowed = merging.final_budget
    left = FULL * (allowed.limit - await _used(merging, digests)) / allowed.copies
    tokens = await merging.work.model.count_tokens([f"{line}\n" for line in lines])
    fitting = [line for line, used in zip(lines, accumulate(tokens), strict=True) if used <= left]
    beside = "\n".join(["Outcomes:", *fitting]) if fitting else ""
    return beside if await _used(merging, digests, beside) <= allowed.limit else ""


def _lines(sections: Sequence[SectionNotes]) -> list[str]:
    decisions = duplicates.decisions(one for section in sections for one in section.decisions)
    tasks = duplicates.actions(item for section in sections for item in section.action_items)
    return [f"- decided: {one.decision}" for one in decisions] + [
        f"- to do: {' | '.join(filter(None, (one.owner, one.item, one.due_date)))}" for one in tasks
    ]


async def _used(merging: Merging, digests: tuple[Digest, ...], beside: str = "") -> int:
    prompt = merging.final.compose(material(digests, beside))
    [tokens] = await counted(merging.work.model, [prompt], merging.final.schema)
    return tokens
