"""Who is who when a file is computed anew: each old speaker's heir, by when they speak. Pure."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pipelines.speakers.turns import Interval, union

MOST = 0.5
"""More than this of what either of them says, the other one says too."""

Old = TypeVar("Old")
New = TypeVar("New")


def heirs(
    old: Mapping[Old, Sequence[Interval]], new: Mapping[New, Sequence[Interval]]
) -> dict[Old, New]:
    """Which new speaker is which old one; those of whom it is not clear are left out.

    Two are the same where what they both say is more than half of what each of them says. Everybody
    has one heir at most, and is one speaker's at most: those who have most in common come first.
    """
    before = {who: union(said) for who, said in old.items()}
    after = {who: union(said) for who, said in new.items()}
    common = [
        (seconds, one, other)
        for one, said in before.items()
        for other, says in after.items()
        if (seconds := shared(said, says)) > MOST * max(_seconds(said), _seconds(says))
    ]
    # Of those who have as much in common, the first ones: sorting is stable.
    common.sort(key=lambda pair: -pair[0])
    found: dict[Old, New] = {}
    taken: set[New] = set()
    for _, one, other in common:
        if one not in found and other not in taken:
            found[one] = other
            taken.add(other)
    return found


def shared(one: Sequence[Interval], other: Sequence[Interval]) -> float:
    """Seconds that two have in common; the intervals of each are in order and do not overlap."""
    total, here, there = 0.0, 0, 0
    while here < len(one) and there < len(other):
        (start, end), (other_start, other_end) = one[here], other[there]
        total += max(0.0, min(end, other_end) - max(start, other_start))
        if end < other_end:
            here += 1
        else:
            there += 1
    return total


def _seconds(intervals: Sequence[Interval]) -> float:
    return sum(end - start for start, end in intervals)
