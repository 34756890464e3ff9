"""Voiceprints of many voices, in memory."""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Speaker
from db.queries import cluster_voices, clusters
from db.queries.cluster_voices import Voice
from pipelines.speakers.groups import Numbers, Vectors

READ_AT_A_TIME = 2000
"""Voiceprints are numbers of Python's until they are in an array: some MB of them at a time."""

Fetch = Callable[[Voice | None], Awaitable[Sequence[Voice]]]
"""The next `READ_AT_A_TIME` voices after this one."""


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Voices of one model."""

    ids: Sequence[uuid.UUID]
    files: Sequence[uuid.UUID]
    vectors: Vectors

    @property
    def recordings(self) -> Numbers:
        """Number the voices by their recording."""
        number = {file_id: n for n, file_id in enumerate(dict.fromkeys(self.files))}
        return np.array([number[file_id] for file_id in self.files], dtype=np.int32)

    def pairs(self, ids: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> Numbers:
        """Those of these pairs whose voices are both here, as indices (k, 2)."""
        index = {speaker_id: n for n, speaker_id in enumerate(self.ids)}
        here = [(index[one], index[other]) for one, other in ids if one in index and other in index]
        return np.array(here, dtype=np.int32).reshape(-1, 2)


async def collect(fetch: Fetch, told: Callable[[int], None] | None = None) -> Library:
    """Read all voices, page by page; `told` hears how many there are so far."""
    ids: list[uuid.UUID] = []
    files: list[uuid.UUID] = []
    blocks: list[Vectors] = []
    last: Voice | None = None
    while page := await fetch(last):
        ids += [voice.id for voice in page]
        files += [voice.media_file_id for voice in page]
        blocks.append(np.array([voice.embedding for voice in page], dtype=np.float32))
        last = page[-1]
        if told is not None:
            told(len(ids))
    vectors = np.concatenate(blocks) if blocks else np.empty((0, 0), dtype=np.float32)
    return Library(ids, files, vectors)


async def of_cluster(
    session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID, model: str
) -> Library:
    """The members of a cluster that have a voiceprint of this model."""
    wanted = and_(clusters.members(user_id, cluster_id), Speaker.embedding_model == model)

    async def fetch(last: Voice | None) -> Sequence[Voice]:
        return await cluster_voices.read(session, wanted, last, READ_AT_A_TIME)

    return await collect(fetch)
