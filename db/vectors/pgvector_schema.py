"""Tables of vectors in PostgreSQL: one for each space, in a schema that migrations do not see."""

from functools import lru_cache

from pgvector.sqlalchemy import Vector
from sqlalchemy import Column, Computed, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import StoreUnavailable
from db.own_schemas import provide
from db.vectors.port import INDEXED, INDEXED_LISTS, Space

SCHEMA = "vectors"
EXTENSION = "vector"
OLDEST = (0, 8)
"""The version of pgvector that goes on where a filter has left too few (hnsw.iterative_scan)."""
ADVICE = "; install pgvector 0.8 or later on the server, or set QDRANT_URL"
# Columns of their own, since JSON is taken apart for each row that a condition looks at: that took
# longer than to compare its vector.
COLUMNS = """
    id uuid PRIMARY KEY, owner_id uuid NOT NULL, {fields},
    embedding vector({dimension}) NOT NULL, payload jsonb NOT NULL
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('rayscribe vectors', 0))"


@lru_cache(maxsize=64)
def table(name: str) -> Table:
    """The table of a space; one object for each, by which compiled statements are kept."""
    return Table(
        name,
        MetaData(schema=SCHEMA),
        Column("id", Uuid, primary_key=True),
        Column("owner_id", Uuid, nullable=False),
        *(Column(field, Text, Computed(f"payload ->> '{field}'")) for field in INDEXED),
        Column("embedding", Vector(), nullable=False),
        Column("payload", JSONB, nullable=False),
    )


def qualified(name: str) -> str:
    """The table of a checked name, as it stands in SQL."""
    return f'{SCHEMA}."{name}"'


def _definition(space: Space) -> list[str]:
    made = qualified(space.name)
    generated = "{0} text GENERATED ALWAYS AS (payload ->> '{0}') STORED"
    fields = ", ".join(generated.format(field) for field in INDEXED)
    return [
        f"CREATE TABLE {made} ({COLUMNS.format(fields=fields, dimension=space.dimension)})",
        # In the row: elsewhere it would be fetched once more for each vector that is compared.
        f"ALTER TABLE {made} ALTER embedding SET STORAGE PLAIN",
        *(f"CREATE INDEX ON {made} (owner_id, {field})" for field in INDEXED),
        *(f"CREATE INDEX ON {made} USING gin ((payload -> '{field}'))" for field in INDEXED_LISTS),
        f"CREATE INDEX ON {made} USING hnsw (embedding vector_cosine_ops)",
    ]


async def supported(session: AsyncSession) -> None:
    """Raise StoreUnavailable unless the server has a pgvector that is new enough."""
    version: str | None = await session.scalar(
        text(
            "SELECT coalesce(installed_version, default_version) FROM pg_available_extensions "
            "WHERE name = 'vector'"
        )
    )
    if version is None:
        raise StoreUnavailable(f"PostgreSQL has no extension `vector`{ADVICE}")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise StoreUnavailable(
            f"pgvector {version} is too old{ADVICE}, and run `ALTER EXTENSION vector UPDATE`"
        )


async def dimension_of(session: AsyncSession, name: str) -> int | None:
    """How many numbers the vectors of a space have; None: there is no such space."""
    found: int | None = await session.scalar(
        text(
            "SELECT atttypmod FROM pg_attribute "
            "JOIN pg_class ON pg_class.oid = attrelid "
            "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE nspname = :schema AND relname = :name AND attname = 'embedding'"
        ),
        {"schema": SCHEMA, "name": name},
    )
    return found


async def create(session: AsyncSession, space: Space) -> int:
    """Make a space, unless another process has meanwhile; its dimension.

    Raises:
        StoreUnavailable: the extension is not there, or this role may not make it.
    """
    await supported(session)
    await session.execute(text(LOCK))
    await provide(session, SCHEMA, EXTENSION)
    found = await dimension_of(session, space.name)
    if found is not None:
        return found
    for statement in _definition(space):
        await session.execute(text(statement))
    return space.dimension
