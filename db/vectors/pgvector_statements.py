"""Statements about points in PostgreSQL, each of which says whose points they are."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, Insert, insert

from db.vectors import checks
from db.vectors.pgvector_schema import table
from db.vectors.port import FILE, INDEXED, Point, Values

Conditions = list[ColumnElement[bool]]

CANDIDATES = 100
"""Among how many the index looks for the nearest (ef_search): its default of 40 misses more."""
WALK = {
    # Goes on where filters leave too few, in true order; ends by itself (hnsw.max_scan_tuples).
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": str(CANDIDATES),
}
INDEX_WALK = select(*(func.set_config(name, value, true()) for name, value in WALK.items()))
"""How the index is walked, until the transaction ends."""
OWN_PLAN = select(func.set_config("plan_cache_mode", "force_custom_plan", true()))
"""Until the transaction ends: the best plan depends on whose points they are, and of thousands of
values only a plan made for them makes a hash table."""


def mine(space: str, owner_id: uuid.UUID, matching: Values | None) -> Conditions:
    """Points of one owner with these values: what every question of an owner begins with."""
    return [table(space).c.owner_id == owner_id, *having(space, matching)]


def having(space: str, matching: Values | None) -> Conditions:
    """Points with these values, whosever they are."""
    return [_one_of(space, name, values) for name, values in checks.fields(matching).items()]


def without(space: str, excluding: Values | None) -> Conditions:
    """Points that have none of these values."""
    return [
        _one_of(space, name, values).is_not(true())
        for name, values in checks.fields(excluding).items()
    ]


def _one_of(space: str, name: str, values: Collection[str]) -> ColumnElement[bool]:
    columns = table(space).c
    # One parameter however many they are: a statement has at most 32767.
    wanted = bindparam(None, list(values), type_=ARRAY(Text))
    if name in INDEXED:
        return columns[name] == func.any(wanted)
    # Of a text as of a list. Written out, as in the index, since `checks` lets no other names in.
    field = columns.payload.op("->", return_type=JSONB())(literal_column(f"'{name}'"))
    found: ColumnElement[bool] = field.op("?|", is_comparison=True)(wanted)
    return found


def more_than(space: str, wanted: Conditions, number: int) -> Select[Any]:
    """Whether there are more such points; stops at the first one too many."""
    row = select(literal(1)).select_from(table(space)).where(*wanted)
    first = row.limit(number + 1).subquery()
    return select(func.count() > number).select_from(first)


def nearest(space: str, wanted: Conditions, limit: int, *, by_index: bool) -> Select[Any]:
    """For each of several vectors (`asked`) the nearest points."""
    points = table(space)
    # Read as vectors here: further down it would be done once for each point.
    given = cast(bindparam("asked", type_=ARRAY(Text)), ARRAY(Vector()))
    asked = (
        func.unnest(given)
        .table_valued(column("vector", Vector()), with_ordinality="number", name="asked")
        .render_derived()
    )
    distance = points.c.embedding.cosine_distance(asked.c.vector).label("distance")
    near = select(points.c.id, points.c.payload, distance).where(*wanted)
    if not by_index:
        # The planner does not look through an OFFSET: all are compared, once.
        near = select(near.correlate(asked).offset(literal_column("0")).lateral("compared"))
    found = near.order_by("distance").limit(limit).lateral("nearest")
    return (
        select(asked.c.number, found.c.id, found.c.distance, found.c.payload)
        .select_from(asked.join(found, true()))
        .order_by(asked.c.number, found.c.distance)
    )


def replacing(space: str) -> Insert:
    """Each row in the place of the one with its id."""
    statement = insert(table(space))
    columns = ("owner_id", "embedding", "payload")
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in columns}
    )


def rows(points: Sequence[Point], dimension: int) -> list[dict[str, Any]]:
    """Rows in the order of their ids, in which every writer locks them; of two, the last."""
    checks.payloads(points)
    units = checks.directions([point.vector for point in points], dimension)
    last = {
        point.id: {
            "id": point.id,
            "owner_id": point.owner_id,
            "embedding": unit,
            "payload": dict(point.payload),
        }
        for point, unit in zip(points, units, strict=True)
    }
    return [last[key] for key in sorted(last)]


def page_of_ids(
    space: str, wanted: Conditions, after: uuid.UUID | None, limit: int
) -> Select[uuid.UUID]:
    """The next ids."""
    key = table(space).c.id
    page = select(key).where(*wanted).order_by(key).limit(limit)
    return page if after is None else page.where(key > after)


def page_of_files(space: str, after: tuple[uuid.UUID, str] | None, limit: int) -> Select[Any]:
    """The next owners and files, each with its number of points: by the index alone."""
    columns = table(space).c
    key = columns.owner_id, columns[FILE]
    page = select(*key, func.count()).where(key[1].is_not(None)).group_by(*key).order_by(*key)
    return page.limit(limit) if after is None else page.where(tuple_(*key) > after).limit(limit)


def number_of(space: str, owner_id: uuid.UUID | None) -> Select[int]:
    """How many there are, of one owner or of all."""
    counted = select(func.count()).select_from(table(space))
    return counted if owner_id is None else counted.where(table(space).c.owner_id == owner_id)


def among(space: str, ids: Collection[uuid.UUID]) -> ColumnElement[bool]:
    """Points with these ids, as one parameter however many they are."""
    wanted = bindparam(None, list(ids), type_=ARRAY(table(space).c.id.type))
    return table(space).c.id == func.any(wanted)
