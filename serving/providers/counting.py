"""Tokens of many texts by a tokenizer that has to be asked over the network, in few questions."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence

from serving.providers.estimates import estimate

ONE_BY_ONE = 8
"""Up to so many texts are counted each for itself."""
BULK_CHARACTERS = 16_000
AT_A_TIME = 4


async def counted(texts: Sequence[str], ask: Callable[[str], Awaitable[int]]) -> list[int]:
    """Tokens of each text.

    Of many texts neighbours are counted together, and each gets its share by its estimate: a sum
    over neighbours, which is what sections are made by, is right, and rather too high.
    """
    asking = asyncio.Semaphore(AT_A_TIME)

    async def of(group: Sequence[str]) -> list[int]:
        joined = "\n".join(group)
        if not joined.strip():
            # Some refuse to count nothing.
            return [estimate(text) for text in group]
        async with asking:
            return _shares(await ask(joined), group)

    counts = await asyncio.gather(*map(of, _groups(texts)))
    return [count for group in counts for count in group]


def _groups(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    size = 0 if len(texts) <= ONE_BY_ONE else BULK_CHARACTERS
    group: list[str] = []
    characters = 0
    for text in texts:
        if group and characters + len(text) > size:
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text)
    if group:
        yield group


def _shares(tokens: int, group: Sequence[str]) -> list[int]:
    if len(group) == 1:
        return [tokens]
    estimates = [estimate(text) for text in group]
    whole = sum(estimates)
    return [math.ceil(tokens * part / whole) for part in estimates]
