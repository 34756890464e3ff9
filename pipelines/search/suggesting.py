"""What somebody may be about to type: titles, speakers, tags, and words that were said."""

import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, zip_longest

from db.engine import session_scope
from db.keywords.port import KeywordHit, KeywordQuery
from db.queries import search_suggestions
from db.queries.search_suggestions import Named
from pipelines import marking
from pipelines.search import asking, query
from pipelines.search.found import SearchStores, StoreAnswer

LOOKED_AT = 50
"""Passages from which words are taken: the best ones for what is typed so far."""


class Kind(StrEnum):
    """What a suggestion is."""

    speaker = "speaker"
    tag = "tag"
    file_title = "title"
    word = "word"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something to look for."""

    kind: Kind
    text: str
    """What it is called; of a word, all that was typed with its last word made whole."""
    count: int
    """Files that have it; of a word, how often the best passages say it."""
    file_id: uuid.UUID | None = None
    """Of a title, the newest file that is called so."""


@dataclass(frozen=True, slots=True)
class Suggested:
    """Suggestions, and how it went with the store that knows words."""

    suggestions: Sequence[Suggestion]
    answer: StoreAnswer
    seconds: float


async def suggest(user_id: uuid.UUID, typed: str, limit: int, stores: SearchStores) -> Suggested:
    """At most so many, some of each kind; names come from rows, so that they are always there."""
    started = time.perf_counter()
    async with session_scope(stores.sessions) as session:
        named: Mapping[Kind, Sequence[Named]] = {
            Kind.speaker: await search_suggestions.speakers(session, user_id, typed, limit),
            Kind.tag: await search_suggestions.tags(session, user_id, typed, limit),
            Kind.file_title: await search_suggestions.titles(session, user_id, typed, limit),
        }
    wanted = query.parse(typed, stores.settings.max_query_words)
    hits: Sequence[KeywordHit] = []
    answer = asking.not_asked(stores)
    if wanted.words:
        said = KeywordQuery(wanted.words)
        answer, hits = await asking.by_words(user_id, said, stores, LOOKED_AT)
    kinds = [
        *(
            [Suggestion(kind, one.name, one.files, one.file_id) for one in each]
            for kind, each in named.items()
        ),
        list(_words(typed, hits)),
    ]
    in_turn = [one for one in chain.from_iterable(zip_longest(*kinds)) if one is not None]
    return Suggested(in_turn[:limit], answer, round(time.perf_counter() - started, 4))


def _words(typed: str, hits: Sequence[KeywordHit]) -> Iterator[Suggestion]:
    """Words that passages say and that begin as the last one typed, the most frequent first."""
    last = re.search(r"[^\W_]+$", typed)
    if last is None:
        return
    begun = marking.folded(last[0])
    said = (hit.text[start:end].strip() for hit in hits for start, end in hit.marks)
    counted = Counter(each.lower() for each in said if marking.folded(each).startswith(begun))
    for word, count in counted.most_common():
        if marking.folded(word) != begun:
            yield Suggestion(Kind.word, typed[: last.start()] + word, count)
