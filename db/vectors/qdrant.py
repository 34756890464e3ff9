"""Vectors in Qdrant: a collection for each space, in which the owner is the tenant."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import cast

from qdrant_client import AsyncQdrantClient
from qdrant_client.http import models

from cluster.settings import SearchSettings
from db.errors import NotFound, StoreUnavailable
from db.vectors import checks
from db.vectors.port import FILE, INDEXED, INDEXED_LISTS, OWNER, Hit, Point, Space, Values, Vector
from db.vectors.qdrant_requests import NOT_THERE, Answer, Question, Refused, Requests

CHUNK = 500
"""Points in one request: some 4 MB, of the 32 that a server takes."""
PAGE = 5_000
"""Ids that are read at a time."""
LINKS = 16
"""Of a point in the graph (m), the server's own default."""


class QdrantStore:
    """The port, on a Qdrant server."""

    adapter = "qdrant"

    def __init__(self, client: AsyncQdrantClient, settings: SearchSettings) -> None:
        self._requests = Requests(client, settings)
        self._dimensions: dict[str, int] = {}
        """Of the spaces that are known to be there; another process may drop one."""

    async def ready(self) -> None:
        """Return when the server answers, and takes the key: it asks for none at its /healthz."""
        await self.spaces()

    async def close(self) -> None:
        """Close the connections."""
        await self._requests.close()

    async def spaces(self) -> Sequence[str]:
        """Names of the spaces there are."""
        found = await self._ask(lambda client: client.get_collections())
        return sorted(one.name for one in found.collections)

    async def ensure(self, space: Space) -> None:
        """Make a space with its indexes, unless it is there."""
        checks.checked(space)
        if space.name in self._dimensions:
            checks.same_dimension(space, self._dimensions[space.name])
            return
        found = await self._found(space.name) or await self._create(space)
        checks.same_dimension(space, found)
        # Each time: whoever made the collection may have ended before its indexes.
        for field, schema in INDEXES.items():
            await self._ask(_index(space.name, field, schema), space.name)
        self._dimensions[space.name] = found

    async def _create(self, space: Space) -> int:
        try:
            await self._requests.ask(_collection(space))
        except Refused as error:
            # Somebody else has made it; or this one, whose first answer was lost.
            found = await self._found(space.name)
            if found is None:
                raise StoreUnavailable(str(error)) from error
            return found
        return space.dimension

    async def drop(self, space: str) -> None:
        """Remove a space with all its points."""
        checks.space_name(space)
        self._dimensions.pop(space, None)
        try:
            await self._ask(lambda client: client.delete_collection(space), space)
        except NotFound:
            return

    async def upsert(self, space: str, points: Sequence[Point]) -> None:
        """Store points, each in the place of the one with its id."""
        dimension = await self._dimension(space)
        if dimension is None:
            raise NotFound("space", space)
        structs = _structs(points, dimension)
        try:
            await self._write(space, structs)
        except NotFound:
            # Another process has dropped it, after this one was told that it is there.
            await self.ensure(Space(space, dimension))
            await self._write(space, structs)

    async def _write(self, space: str, structs: list[models.PointStruct]) -> None:
        for start in range(0, len(structs), CHUNK):
            chunk = structs[start : start + CHUNK]
            await self._ask(_upsert(space, chunk), space)

    async def search(
        self,
        space: str,
        owner_id: uuid.UUID,
        vectors: Sequence[Vector],
        *,
        limit: int,
        at_least: float = -1.0,
        matching: Values | None = None,
        excluding: Values | None = None,
    ) -> list[list[Hit]]:
        """For each vector the owner's nearest points, nearest first."""
        mine = _mine(owner_id, matching, excluding=excluding)
        dimension = await self._dimension(space)
        if dimension is None or not vectors:
            return [[] for _ in vectors]
        asked = [
            models.QueryRequest(query=unit, filter=mine, limit=limit, with_payload=True)
            for unit in checks.directions(vectors, dimension)
        ]
        try:
            answers = await self._ask(
                lambda client: client.query_batch_points(space, requests=asked), space
            )
        except NotFound:
            return [[] for _ in vectors]
        return [
            [hit for hit in map(_hit, answer.points) if hit.similarity >= at_least]
            for answer in answers
        ]

    async def delete(
        self,
        space: str,
        owner_id: uuid.UUID,
        *,
        matching: Values | None = None,
        keep: Collection[uuid.UUID] = (),
    ) -> None:
        """Remove an owner's points but those in `keep`."""
        mine = models.FilterSelector(filter=_mine(owner_id, matching, keep=keep))
        await self._delete(space, mine)

    async def remove(self, space: str, ids: Collection[uuid.UUID]) -> None:
        """Remove points whosever they are."""
        which = models.PointIdsList(points=[str(one) for one in ids])
        # A request about nothing is refused.
        if which.points:
            await self._delete(space, which)
        checks.space_name(space)

    async def _delete(self, space: str, which: models.FilterSelector | models.PointIdsList) -> None:
        checks.space_name(space)
        try:
            await self._ask(lambda client: client.delete(space, which, wait=True), space)
        except NotFound:
            return

    async def ids(
        self,
        space: str,
        owner_id: uuid.UUID | None = None,
        *,
        matching: Values | None = None,
    ) -> AsyncIterator[uuid.UUID]:
        """Ids of all points that match, read in pages."""
        async for records in self._pages(space, _having(owner_id, matching)):
            for record in records:
                yield uuid.UUID(str(record.id))

    async def files(self, space: str) -> AsyncIterator[Mapping[uuid.UUID, int]]:
        """How many points each file has, in one piece: points are read in the order of their ids.

        Not by a facet: those of a server have no pages, and no order but that of their numbers.
        """
        counted: Counter[str] = Counter()
        async for records in self._pages(space, None, [FILE]):
            payloads = (record.payload or {} for record in records)
            counted.update(payload[FILE] for payload in payloads if FILE in payload)
        if counted:
            yield {uuid.UUID(file): number for file, number in counted.items()}

    async def _pages(
        self, space: str, wanted: models.Filter | None, fields: Sequence[str] = ()
    ) -> AsyncIterator[list[models.Record]]:
        """Points with these fields of their payloads, some at a time."""
        checks.space_name(space)
        offset: models.ExtendedPointId | None = None
        while True:
            try:
                records, offset = await self._ask(_scroll(space, wanted, fields, offset), space)
            except NotFound:
                return
            yield records
            if offset is None:
                return

    async def count(self, space: str, owner_id: uuid.UUID | None = None) -> int:
        """How many points there are, exactly."""
        checks.space_name(space)
        wanted = _having(owner_id, None)
        try:
            found = await self._ask(
                lambda client: client.count(space, count_filter=wanted, exact=True), space
            )
        except NotFound:
            return 0
        return found.count

    async def _dimension(self, space: str) -> int | None:
        """Of a space; None: there is none."""
        checks.space_name(space)
        if space not in self._dimensions:
            found = await self._found(space)
            if found is None:
                return None
            self._dimensions[space] = found
        return self._dimensions[space]

    async def _found(self, space: str) -> int | None:
        """What the server says of the dimension of a space; None: there is none."""
        try:
            info = await self._ask(lambda client: client.get_collection(space), space)
        except NotFound:
            return None
        vectors = info.config.params.vectors
        if not isinstance(vectors, models.VectorParams) or vectors.distance != "Cosine":
            raise ValueError(f"Qdrant's collection {space} is not of ours: drop or rename it")
        return vectors.size

    async def _ask(self, question: Question[Answer], space: str | None = None) -> Answer:
        """The answer; NotFound where somebody has dropped the space."""
        try:
            return await self._requests.ask(question)
        except Refused as error:
            if error.status != NOT_THERE or space is None:
                raise StoreUnavailable(str(error)) from error
            self._dimensions.pop(space, None)
            raise NotFound("space", space) from error


INDEXES: dict[str, models.KeywordIndexParams] = {
    OWNER: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    **{
        field: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
        for field in (*INDEXED, *INDEXED_LISTS)
    },
}


def _collection(space: Space) -> Question[bool]:
    # Nobody searches all owners' points: a graph for each owner with many, none for all.
    graphs = models.HnswConfigDiff(m=0, payload_m=LINKS)
    params = models.VectorParams(size=space.dimension, distance=models.Distance.COSINE)
    return lambda client: client.create_collection(
        space.name, vectors_config=params, hnsw_config=graphs
    )


def _index(
    space: str, field: str, schema: models.KeywordIndexParams
) -> Question[models.UpdateResult]:
    return lambda client: client.create_payload_index(space, field, schema, wait=True)


def _upsert(space: str, chunk: list[models.PointStruct]) -> Question[models.UpdateResult]:
    return lambda client: client.upsert(space, chunk, wait=True)


def _scroll(
    space: str,
    wanted: models.Filter | None,
    fields: Sequence[str],
    offset: models.ExtendedPointId | None,
) -> Question[tuple[list[models.Record], models.ExtendedPointId | None]]:
    return lambda client: client.scroll(
        space, scroll_filter=wanted, limit=PAGE, offset=offset, with_payload=list(fields) or False
    )


def _mine(
    owner_id: uuid.UUID,
    matching: Values | None = None,
    *,
    excluding: Values | None = None,
    keep: Collection[uuid.UUID] = (),
) -> models.Filter:
    """Points of one owner: what every question of an owner names."""
    must = [_one_of(OWNER, [str(owner_id)])]
    must += [_one_of(*item) for item in checks.fields(matching).items()]
    must_not: list[models.Condition] = [_one_of(*item) for item in checks.fields(excluding).items()]
    if keep:
        must_not.append(models.HasIdCondition(has_id=[str(one) for one in keep]))
    return models.Filter(must=cast("list[models.Condition]", must), must_not=must_not or None)


def _having(owner_id: uuid.UUID | None, matching: Values | None) -> models.Filter | None:
    """Points of one owner, or whosever they are; None: all there are."""
    if owner_id is not None:
        return _mine(owner_id, matching)
    must = [_one_of(*item) for item in checks.fields(matching).items()]
    return models.Filter(must=cast("list[models.Condition]", must)) if must else None


def _one_of(field: str, values: Collection[str]) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))


def _structs(points: Sequence[Point], dimension: int) -> list[models.PointStruct]:
    checks.payloads(points)
    units = checks.directions([point.vector for point in points], dimension)
    return [
        models.PointStruct(
            id=str(point.id), vector=unit, payload={**point.payload, OWNER: str(point.owner_id)}
        )
        for point, unit in zip(points, units, strict=True)
    ]


def _hit(point: models.ScoredPoint) -> Hit:
    payload = {name: value for name, value in (point.payload or {}).items() if name != OWNER}
    # Rounding can take it out of -1..1.
    return Hit(uuid.UUID(str(point.id)), max(-1.0, min(1.0, point.score)), payload)
