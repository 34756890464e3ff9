"""Accepts suggested tags and collections: all that are named, or none."""

import uuid
from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.labels import CollectionTitle, TagName
from api.listing import CollectionName
from api.summarization import standing
from api.summarization.topic_schemas import TopicsAccepted, TopicsApplied, TopicsOut
from db.models import MediaFile
from db.queries import (
    collections,
    events,
    file_labels,
    media_files,
    tags,
    topic_suggestions,
)
from pipelines.notices import Notice, file_facts
from pipelines.search import notes as search_notes

TAG: TypeAdapter[str] = TypeAdapter(TagName)
COLLECTION: TypeAdapter[str] = TypeAdapter(CollectionTitle)


async def applied(
    services: Services,
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    wanted: TopicsAccepted,
) -> TopicsApplied:
    """Accept suggestions, and keep the decision.

    Raises:
        NotFound: there is no such file, or nothing is suggested for it.
        RequestValidationError: one of them is not suggested, or cannot be a name.
        ApiError: `conflict`, the file would have too many tags.
    """
    file = await media_files.get(session, user_id, file_id, lock=True)
    found = await topic_suggestions.get(session, user_id, file_id, lock=True)
    named = _suggested("accepted_tags", wanted.accepted_tags, found.tags, TAG)
    sets = _suggested(
        "accepted_collections", wanted.accepted_collections, found.collections, COLLECTION
    )
    await _put_tags(services, session, file, named)
    await _put_into(session, file, sets)
    await topic_suggestions.decide(session, found, named, sets)
    now = await standing.transcript_version(session, file)
    labels = await file_labels.tags(session, [file.id])
    into = await file_labels.collections(session, [file.id])
    await session.refresh(found)
    answer = TopicsApplied(
        topics=TopicsOut.of(found, now),
        tags=labels.get(file.id, ()),
        collections=[CollectionName.model_validate(one) for one in into.get(file.id, ())],
    )
    await search_notes.note_files(session, user_id, [file.id], spoken=False)
    await events.append(
        session, user_id, Notice.file_updated, file_facts(file), media_file_id=file.id
    )
    return answer


def _suggested(
    field: str,
    accepted: Sequence[str],
    suggested: Sequence[dict[str, Any]],
    kind: TypeAdapter[str],
) -> list[str]:
    """Accepted names as they were suggested, each once."""
    known = {one["name"].lower(): one["name"] for one in suggested}
    faults = []
    names: dict[str, None] = {}
    for number, name in enumerate(accepted):
        try:
            names[kind.validate_python(known[name.strip().lower()])] = None
        except KeyError:
            faults.append(_fault(field, number, "is not among the suggestions"))
        except ValidationError as error:
            faults.append(_fault(field, number, error.errors()[0]["msg"]))
    if faults:
        raise RequestValidationError(faults)
    return list(names)


def _fault(field: str, number: int, message: str) -> dict[str, Any]:
    return {"loc": ("body", field, number), "msg": message, "type": "value_error"}


async def _put_tags(
    services: Services, session: AsyncSession, file: MediaFile, names: Sequence[str]
) -> None:
    for name in _in_order(names):
        tag = await tags.ensure(session, file.user_id, name)
        await tags.put(session, tag.id, file.id)
    limit = services.api.max_tags_per_file
    if names and await tags.count_on(session, file.id) > limit:
        raise ApiError(
            ErrorType.conflict,
            f"A file can have {limit} tags; accept fewer, or take some off first.",
            max_tags_per_file=limit,
        )


async def _put_into(session: AsyncSession, file: MediaFile, names: Sequence[str]) -> None:
    for name in _in_order(names):
        collection_id = await collections.ensure(session, file.user_id, name)
        await collections.put_in(session, file.user_id, collection_id, {file.id})


def _in_order(names: Sequence[str]) -> list[str]:
    """In one order, so that two requests never wait for each other."""
    return sorted(names, key=str.lower)
