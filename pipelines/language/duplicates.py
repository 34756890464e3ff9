"""What was noted twice, told by code: careful, since what is joined wrongly is lost."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

from rapidfuzz import fuzz

from pipelines.language.bluf import ActionItem, KeyDecision
from pipelines.language.places import words

Item = TypeVar("Item")

SAME = 92
"""Likeness (0..100) of two statements that say the same, if nothing below speaks against it."""
SAME_OWNER = 85
REMEMBERED = 4096
"""Statements whose words are not taken apart again: each is compared with many."""

NEGATIONS = frozenset(
    # What is negated in the languages of summaries.
    re.findall(
        r"\w+",
        """not no never none without cannot nicht kein keine keinen nie ohne ne pas jamais sans non
        mai senza não nunca sem niet geen nooit zonder не нет без никогда ليس لا لم لن بدون""",
    )
)
NAME = re.compile(r"\b[^\W\d_a-z][^\W\d_]+")
FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")


def same(first: str, second: str) -> bool:
    """Whether two statements say the same.

    However alike their words: other figures, other names, or a "not" in one of them, and they
    say different things.
    """
    (mine, my_marks), (yours, your_marks) = _read(first), _read(second)
    if mine == yours:
        return True
    return my_marks == your_marks and fuzz.ratio(mine, yours, score_cutoff=SAME) >= SAME


@lru_cache(REMEMBERED)
def _read(statement: str) -> tuple[str, tuple[frozenset[str], ...]]:
    """The sorted words; and figures, names (a capital in the midst of a sentence), negations."""
    said = sorted(words(statement.casefold().replace("n't", " not")))
    names = (found for found in NAME.finditer(statement) if found.start())
    marks = (
        frozenset(FIGURE.findall(statement)),
        frozenset(found[0].casefold() for found in names),
        NEGATIONS.intersection(said),
    )
    return " ".join(said), marks


def joined(
    items: Iterable[Item],
    alike: Callable[[Item, Item], bool],
    join: Callable[[Item, Item], Item],
) -> list[Item]:
    """The items, those that are alike joined into the first of them."""
    kept: list[Item] = []
    for item in items:
        for number, other in enumerate(kept):
            if alike(other, item):
                kept[number] = join(other, item)
                break
        else:
            kept.append(item)
    return kept


def texts(statements: Iterable[str]) -> list[str]:
    """Each statement once."""
    return joined(filter(None, statements), same, lambda first, _: first)


def actions(items: Iterable[ActionItem]) -> list[ActionItem]:
    """Each task once, in order of time, with what any note of it has."""
    return joined(sorted(items, key=lambda item: item.start), _same_action, _joined_action)


def decisions(items: Iterable[KeyDecision]) -> list[KeyDecision]:
    """Each decision once, in order of time, with what any note of it has."""
    return joined(
        sorted(items, key=lambda item: item.start),
        lambda first, second: same(first.decision, second.decision),
        _joined_decision,
    )


def _same_action(first: ActionItem, second: ActionItem) -> bool:
    return (
        _compatible(first.owner, second.owner)
        and _compatible(first.due_date, second.due_date)
        and same(first.item, second.item)
    )


def _compatible(first: str | None, second: str | None) -> bool:
    """Whether both say the same, or one says nothing."""
    if not first or not second:
        return True
    if FIGURE.findall(first) != FIGURE.findall(second):
        return False
    return fuzz.partial_ratio(first.casefold(), second.casefold()) >= SAME_OWNER


def _joined_action(first: ActionItem, second: ActionItem) -> ActionItem:
    return first.model_copy(
        update={
            "owner": first.owner or second.owner,
            "due_date": first.due_date or second.due_date,
            "priority": min(first.priority, second.priority, key=list(type(first.priority)).index),
            "context": first.context or second.context,
        }
    )


def _joined_decision(first: KeyDecision, second: KeyDecision) -> KeyDecision:
    return first.model_copy(
        update={
            "context": first.context or second.context,
            "impact": first.impact or second.impact,
            "stakeholders": tuple(texts((*first.stakeholders, *second.stakeholders))),
        }
    )


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many, evenly from all."""
    if len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]
