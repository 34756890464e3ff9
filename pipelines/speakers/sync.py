"""Keeps the vector store, the matches and the profiles' voiceprints equal to the rows.

A note of the outbox says what may have changed, not how. Two may be at work on one at a time (a
note that is renewed meanwhile, a lease that ran out), and rows may change between a look and a
write. So whoever wrote to the store looks at the rows again, and begins anew where they are others
now: who writes last what is outdated is also the one who notices. What changes after that look is
noted by its own transaction.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cluster.settings import VoiceSettings
from db.engine import Sessions, session_scope
from db.models import OutboxEntry, User
from db.queries import speakers, voiceprints
from db.queries.voiceprints import Voiceprint
from db.vectors.port import Point, VectorStore
from pipelines.outbox import Handler
from pipelines.spaces import is_voice_space
from pipelines.speakers import accepting, centroids, matching, points
from pipelines.speakers.notes import About


def keeper(sessions: Sessions, store: VectorStore, settings: VoiceSettings) -> Handler:
    """Does the entries of the outbox that are for the vector store."""
    keep = _Keeper(sessions, store, settings)

    async def work(entry: OutboxEntry) -> timedelta | None:
        about, _, which = entry.subject.partition("/")
        user_id = uuid.UUID(entry.payload["user_id"])
        match About(about):
            case About.file:
                await keep.file(user_id, uuid.UUID(which))
            case About.profile:
                await keep.profile(user_id, uuid.UUID(which))
            case About.user:
                await keep.user(user_id)
        return None

    return work


@dataclass(frozen=True, slots=True)
class _Keeper:
    sessions: Sessions
    store: VectorStore
    settings: VoiceSettings

    async def file(self, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
        """A file's voices: their points, whom they sound like, and names that follow from it."""
        voices = await self._file_as_it_is(user_id, file_id)
        while (now := await self._bring_file(user_id, file_id, voices)) != voices:
            voices = now
        if voices:
            models = {voice.model for voice in voices}
            async with session_scope(self.sessions) as session:
                await accepting.accept(session, user_id, models, self.settings, file_id=file_id)

    async def _file_as_it_is(self, user_id: uuid.UUID, file_id: uuid.UUID) -> list[Voiceprint]:
        async with session_scope(self.sessions) as session:
            return points.units(
                await voiceprints.of_file(
                    session, user_id, file_id, self.settings.min_clean_seconds
                )
            )

    async def _bring_file(
        self, user_id: uuid.UUID, file_id: uuid.UUID, voices: list[Voiceprint]
    ) -> list[Voiceprint]:
        """Bring the store to these voices; what they are after that. Matches: if they are those."""
        wanted = [points.of_speaker(voice, user_id, file_id) for voice in voices]
        kept = await self._upsert(voices, wanted)
        for space in await self._spaces():
            mine = {points.MEDIA_FILE: [str(file_id)]}
            await self.store.delete(space, user_id, matching=mine, keep=kept.get(space, ()))
        near = await matching.neighbours(self.store, user_id, file_id, voices, self.settings)
        minimum = self.settings.min_clean_seconds
        async with session_scope(self.sessions) as session:
            await speakers.serialise(session, user_id)
            now = points.units(
                await voiceprints.of_file(session, user_id, file_id, minimum, lock=True)
            )
            if now == voices:
                ids = await voiceprints.speakers_of(session, user_id, file_id)
                await matching.write_file(session, user_id, voices, ids, near, self.settings)
        return now

    async def profile(self, user_id: uuid.UUID, profile_id: uuid.UUID) -> None:
        """A profile's voiceprints, their points, and which voices sound like it."""
        async with session_scope(self.sessions) as session:
            await speakers.serialise(session, user_id)
            await centroids.refresh(session, user_id, profile_id, self.settings)
            voices = await voiceprints.of_profiles(session, user_id, [profile_id], wait=True)
        while (now := await self._bring_profile(user_id, profile_id, voices)) != voices:
            voices = now
        if voices:
            models = {voice.model for voice in voices}
            async with session_scope(self.sessions) as session:
                await accepting.accept(
                    session, user_id, models, self.settings, profile_id=profile_id
                )

    async def _bring_profile(
        self, user_id: uuid.UUID, profile_id: uuid.UUID, voices: list[Voiceprint]
    ) -> list[Voiceprint]:
        """Bring the store to these voiceprints; what they are after that."""
        wanted = [points.of_profile(voice, user_id) for voice in voices]
        kept = await self._upsert(voices, wanted)
        for space in await self._spaces():
            if space not in kept:
                await self.store.remove(space, [profile_id])
        async with session_scope(self.sessions) as session:
            members = await voiceprints.members(session, profile_id)
        near = await matching.audience(self.store, user_id, voices, members, self.settings)
        async with session_scope(self.sessions) as session:
            await speakers.serialise(session, user_id)
            now = await voiceprints.of_profiles(session, user_id, [profile_id], wait=True)
            if now == voices:
                members = await voiceprints.members(session, profile_id)
                await matching.write_profile(
                    session, user_id, profile_id, voices, near, members, self.settings
                )
        return now

    async def user(self, user_id: uuid.UUID) -> None:
        """The points of an account that is gone; one that is there keeps them."""
        async with session_scope(self.sessions) as session:
            if await session.get(User, user_id) is not None:
                return
        for space in await self._spaces():
            await self.store.delete(space, user_id)

    async def _spaces(self) -> Sequence[str]:
        return [space for space in await self.store.spaces() if is_voice_space(space)]

    async def _upsert(
        self, voices: Sequence[Voiceprint], wanted: Sequence[Point]
    ) -> Mapping[str, Sequence[uuid.UUID]]:
        """Store points; says which lie in which space."""
        point_of = {
            (voice.id, voice.model): point for voice, point in zip(voices, wanted, strict=True)
        }
        kept: dict[str, list[uuid.UUID]] = {}
        for space, group in points.by_space(voices).items():
            await self.store.ensure(space)
            stored = [point_of[voice.id, voice.model] for voice in group]
            await self.store.upsert(space.name, stored)
            kept[space.name] = [point.id for point in stored]
        return kept
