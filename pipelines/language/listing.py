"""Names that prompts tell of: as many as a small part of the context has room for."""

from collections.abc import Sequence
from itertools import accumulate

from pipelines.language.sections import Count

SHARE_OF_CONTEXT = 0.06


async def listed(names: Sequence[str], context_tokens: int, count: Count) -> str:
    """The first of the names, with commas; what does not fit is left out."""
    clean = [" ".join(name.split()) for name in names if name.strip()]
    if not clean:
        return ""
    tokens = await count([f"{name}, " for name in clean])
    room = SHARE_OF_CONTEXT * context_tokens
    return ", ".join(
        name for name, used in zip(clean, accumulate(tokens), strict=True) if used <= room
    )
