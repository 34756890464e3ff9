"""A file as the stores of search have it: passages with what they are found by."""

import asyncio
import uuid
from collections.abc import Sequence

from cluster.settings import SearchSettings
from db.keywords.port import FileFacts, PassageDocument
from db.queries.indexing import SpokenFile
from db.vectors.port import FILE, Payload
from pipelines.search import passages
from pipelines.search.passages import Line, Passage

KIND = "passage"
"""Of points in the vector store."""
SPEAKERS = "speaker_ids"
"""The field that says who speaks in a passage."""


async def cut(file: SpokenFile, settings: SearchSettings) -> list[Passage]:
    """The passages of a file; in a thread, since a long recording takes half a second."""
    lines = [
        Line(said.start, said.end, said.text, said.speaker, said.speaker_id) for said in file.lines
    ]
    words, overlap = settings.passage_words, settings.passage_overlap_words
    return await asyncio.to_thread(passages.cut, lines, words, overlap)


def ids(file_id: uuid.UUID, cut_passages: Sequence[Passage]) -> list[uuid.UUID]:
    """Under which ids every store has a file's passages."""
    return [passages.passage_id(file_id, passage) for passage in cut_passages]


def documents(file: SpokenFile, cut_passages: Sequence[Passage]) -> list[PassageDocument]:
    """The passages of a file for the keyword store."""
    facts = FileFacts(
        title=file.title,
        created_at=file.created_at,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        duration=file.duration,
        language=file.language,
        translated_to=file.translated_to,
        tags=file.tags,
        collections=file.collections,
    )
    return [
        PassageDocument(
            id=passage_id,
            owner_id=file.owner_id,
            media_file_id=file.id,
            number=passage.number,
            start=passage.start,
            end=passage.end,
            text=passage.text,
            speakers=passage.speakers,
            file=facts,
        )
        for passage_id, passage in zip(ids(file.id, cut_passages), cut_passages, strict=True)
    ]


def payload(file_id: uuid.UUID, passage: Passage) -> Payload:
    """What a passage is found by in the vector store, besides what it is about."""
    return {
        "kind": KIND,
        FILE: str(file_id),
        SPEAKERS: [str(each) for each in passage.speaker_ids],
        "start": repr(passage.start),
        "end": repr(passage.end),
        "number": str(passage.number),
    }
