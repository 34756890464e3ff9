"""How the stores of search stand: whether they answer, and what of the transcripts they have."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from db.engine import session_scope
from db.errors import StoreUnavailable
from db.models import Destination
from db.queries import outbox, search_status
from db.queries.search_status import Brought
from pipelines.search import comparing
from pipelines.search.asking import within
from pipelines.search.found import SearchStores, Source
from pipelines.search.places import LIVE, keyword_place, passage_place
from pipelines.spaces import passage_space
from serving.errors import SpeechError, SpeechUnavailable

T = TypeVar("T")

log = structlog.get_logger(__name__)

DESTINATIONS: Mapping[Source, Destination] = {
    Source.keyword: Destination.keywords,
    Source.semantic: Destination.passages,
}


@dataclass(frozen=True, slots=True)
class Model:
    """Which model says what texts mean."""

    identity: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Store:
    """One of the stores."""

    source: Source
    adapter: str
    seconds: float
    stored: int | None
    """Passages that it says it has; None: it, or the model whose space it is, does not answer."""
    brought: Brought
    waiting: int
    """Notes of changes, of everybody's files, that it is still to be told."""

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self.stored is not None

    @property
    def is_complete(self) -> bool:
        """Whether it has every transcript as it is, as far as numbers tell."""
        whole = self.brought.files == self.brought.indexed
        return whole and self.stored == self.brought.passages


async def model_in_use(stores: SearchStores) -> Model:
    """The model that embeds texts now.

    Raises:
        SpeechError: it does not answer.
    """
    nothing = await within(stores, stores.embedder.embed([]), SpeechUnavailable)
    return Model(nothing.model, nothing.vectors.shape[1])


async def standing(stores: SearchStores, user_id: uuid.UUID | None) -> Sequence[Store]:
    """Both stores, as to a user's files or to everybody's."""
    return await asyncio.gather(_keywords(stores, user_id), _vectors(stores, user_id))


async def _keywords(stores: SearchStores, user_id: uuid.UUID | None) -> Store:
    place = keyword_place(stores.keywords, LIVE, stores.settings)
    started = time.perf_counter()
    counted = within(stores, stores.keywords.count(LIVE, user_id))
    stored = await _unless_down(Source.keyword, counted)
    seconds = time.perf_counter() - started
    brought, waiting = await _written_down(stores, Source.keyword, place, user_id)
    return Store(Source.keyword, stores.keywords.adapter, seconds, stored, brought, waiting)


async def _vectors(stores: SearchStores, user_id: uuid.UUID | None) -> Store:
    started = time.perf_counter()
    model = await _unless_down(Source.semantic, model_in_use(stores))
    if model is None:
        stored = None
        place = await comparing.latest_place(stores.sessions, Destination.passages) or ""
    else:
        space = passage_space(model.identity, model.dimension)
        place = passage_place(stores.vectors, space, stores.settings)
        counted = within(stores, stores.vectors.count(space.name, user_id))
        stored = await _unless_down(Source.semantic, counted)
    seconds = time.perf_counter() - started
    brought, waiting = await _written_down(stores, Source.semantic, place, user_id)
    return Store(Source.semantic, stores.vectors.adapter, seconds, stored, brought, waiting)


async def _unless_down(source: Source, call: Awaitable[T]) -> T | None:
    """The answer; None: there is none, and the log says why."""
    try:
        return await call
    except (StoreUnavailable, SpeechError) as error:
        log.warning("store of search does not answer", store=source, error=repr(error))
        return None


async def _written_down(
    stores: SearchStores, source: Source, place: str, user_id: uuid.UUID | None
) -> tuple[Brought, int]:
    destination = DESTINATIONS[source]
    async with session_scope(stores.sessions) as session:
        brought = await search_status.brought(session, destination, place, user_id)
        waiting, _ = (await outbox.waiting(session)).get(destination, (0, 0.0))
    return brought, waiting
