"""Asks the two stores, each within its own time, and says of each how it went."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog

from db.engine import session_scope
from db.errors import StoreUnavailable
from db.keywords.port import KeywordHit, KeywordQuery, PassageFilters
from db.queries import found_files
from db.vectors.port import Hit, Values
from pipelines.search.found import Asked, Asking, Mode, SearchStores, Source, StoreAnswer
from pipelines.search.places import LIVE
from pipelines.search.query import Query
from pipelines.spaces import passage_space
from serving.errors import SpeechError, SpeechUnavailable
from serving.voiceprints import unit_rows

log = structlog.get_logger(__name__)

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Answers:
    """What both stores found, best first."""

    by_words: Sequence[KeywordHit]
    by_meaning: Sequence[Hit]
    answers: tuple[StoreAnswer, StoreAnswer]


async def ask(asked: Asked, query: Query, stores: SearchStores) -> Answers:
    """Ask what the mode asks, at the same time.

    Raises:
        StoreUnavailable, SpeechError: nothing that was asked answered.
    """
    filters = narrowed(asked.filters, query)
    (words, by_words), (meaning, by_meaning) = await asyncio.gather(
        _keywords(asked, query, filters, stores), _vectors(asked, query, filters, stores)
    )
    failed = [one.error for one in (words, meaning) if one.error is not None]
    if failed and Asking.answered not in {words.asking, meaning.asking}:
        raise failed[0]
    return Answers(by_words, by_meaning, (words, meaning))


def narrowed(filters: PassageFilters, query: Query) -> PassageFilters:
    """The filters with the speakers whom the text names: one of all these speaks."""
    return replace(filters, speakers=(*filters.speakers, *query.speakers))


async def _keywords(
    asked: Asked, query: Query, filters: PassageFilters, stores: SearchStores
) -> tuple[StoreAnswer, Sequence[KeywordHit]]:
    if asked.mode is Mode.semantic:
        return not_asked(stores), []
    wanted = KeywordQuery(query.words, query.phrases, filters)
    return await by_words(asked.user_id, wanted, stores, stores.settings.window)


async def by_words(
    user_id: uuid.UUID, wanted: KeywordQuery, stores: SearchStores, limit: int
) -> tuple[StoreAnswer, Sequence[KeywordHit]]:
    """What the keyword store finds; how it went is in the answer, whatever that is."""
    question = partial(stores.keywords.search, LIVE, user_id, wanted, limit=limit)
    return await _timed(not_asked(stores), lambda: within(stores, question()))


def not_asked(stores: SearchStores) -> StoreAnswer:
    """The keyword store where it is not needed."""
    return StoreAnswer(Source.keyword, stores.keywords.adapter, Asking.not_asked)


async def _vectors(
    asked: Asked, query: Query, filters: PassageFilters, stores: SearchStores
) -> tuple[StoreAnswer, Sequence[Hit]]:
    answer = StoreAnswer(Source.semantic, stores.vectors.adapter, Asking.not_asked)
    if asked.mode is Mode.keyword or not query.meaning:
        return answer, []
    return await _timed(answer, lambda: _by_meaning(asked.user_id, query.meaning, filters, stores))


async def _by_meaning(
    user_id: uuid.UUID, text: str, filters: PassageFilters, stores: SearchStores
) -> Sequence[Hit]:
    """The passages that are nearest to a text."""
    embedding, matching = await asyncio.gather(
        within(stores, stores.embedder.embed([text]), SpeechUnavailable),
        within(stores, _values(user_id, filters, stores)),
    )
    vectors, usable = unit_rows(embedding.vectors)
    if matching is None or not usable.all():
        # What has no direction is near nothing.
        return []
    # The model that says what the query means says where to look: others' vectors are elsewhere.
    space = passage_space(embedding.model, vectors.shape[1]).name
    [hits] = await within(
        stores,
        stores.vectors.search(
            space,
            user_id,
            vectors.tolist(),
            limit=stores.settings.window,
            at_least=stores.settings.min_similarity,
            matching=matching,
        ),
    )
    return hits


async def _values(
    user_id: uuid.UUID, filters: PassageFilters, stores: SearchStores
) -> Values | None:
    """What a point must have to be found; None: none has it."""
    matching: dict[str, list[str]] = {}
    async with session_scope(stores.sessions) as session:
        files = await found_files.matching(session, user_id, filters)
        if files is not None:
            matching["media_file_id"] = [str(one) for one in files]
        if filters.speakers:
            speakers = await found_files.speakers_called(session, user_id, filters.speakers)
            matching["speaker_ids"] = [str(one) for one in speakers]
    return matching if all(matching.values()) else None


async def _timed(
    answer: StoreAnswer, question: Callable[[], Awaitable[Sequence[Found]]]
) -> tuple[StoreAnswer, Sequence[Found]]:
    """What was found, and how it went: a store that is down takes nothing but its own part away."""
    started = time.perf_counter()
    try:
        found = await question()
    except (StoreUnavailable, SpeechError) as error:
        late = isinstance(error.__cause__, TimeoutError)
        log.warning("search goes without a store", store=answer.source, error=repr(error))
        asking = Asking.timed_out if late else Asking.unavailable
        return replace(answer, asking=asking, seconds=_since(started), error=error), []
    asking, seconds = Asking.answered, _since(started)
    return replace(answer, asking=asking, seconds=seconds, passages=len(found)), found


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)


async def within(
    stores: SearchStores, call: Awaitable[Found], late: type[Exception] = StoreUnavailable
) -> Found:
    """The answer, if it comes in time; else raise `late`."""
    seconds = stores.settings.query_seconds
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as error:
        raise late(f"no answer within {seconds:g} s") from error


def part_of(answer: StoreAnswer) -> str:
    """Which part it was that did not answer, for people."""
    if answer.source is Source.keyword:
        return "the keyword store"
    return "the text embedder" if isinstance(answer.error, SpeechError) else "the vector store"
