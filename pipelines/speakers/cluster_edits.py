"""What a person does to clusters: merge, split, take voices out, say whose a cluster is.

Each of these waits for whoever else decides about the user's speakers (`speakers.serialise`).
"""

import asyncio
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import and_, or_
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import VoiceSettings
from db.errors import NotFound
from db.models import (
    ChangeAction,
    Speaker,
    SpeakerChange,
    SpeakerCluster,
    SpeakerProfile,
)
from db.queries import cluster_voices, clusters, events, profiles, speaker_rulings, speakers
from db.queries.cluster_voices import Place
from pipelines.errors import SpeakerRefused
from pipelines.notices import Notice, clusters_updated
from pipelines.speakers import identity, library
from pipelines.speakers.calibration import calibration
from pipelines.speakers.groups import Oddity, outliers, to_means
from pipelines.speakers.identity import Identity

MAX_APART = 100
"""Of those that stay, from how many typical ones a voice that is taken out is kept apart: enough
that it comes into no group with them again."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Whose voices the members of a cluster are now."""

    profile: SpeakerProfile
    speakers: Sequence[Speaker]
    change: SpeakerChange | None
    """None: they were so already."""
    remaining: int
    """Members that the cluster still has; 0: it is gone."""


async def refresh(session: AsyncSession, cluster: SpeakerCluster) -> bool:
    """Say anew how alike a cluster's members are, whose files are held.

    One without members is deleted. Says whether the cluster is still there.
    """
    await session.flush()
    user_id = cluster.user_id
    if not await cluster_voices.count(session, clusters.members(user_id, cluster.id)):
        await clusters.remove(session, user_id, cluster.id)
        return False
    model = await cluster_voices.main_model(session, user_id, cluster.id)
    if model is None:
        return True
    cluster.embedding_model = model
    found = await library.of_cluster(session, user_id, cluster.id, model)
    one_group = np.zeros(len(found.ids), dtype=np.int32)
    similarity = await asyncio.to_thread(to_means, found.vectors, one_group)
    # Voiceprints of other models cannot be compared.
    others = Speaker.embedding_model.is_distinct_from(model)
    within = and_(clusters.members(user_id, cluster.id), others)
    await cluster_voices.move_all(session, within, cluster.id)
    moved = [
        (speaker_id, Place(cluster.id, float(cosine)))
        for speaker_id, cosine in zip(found.ids, similarity, strict=True)
    ]
    await cluster_voices.move(session, user_id, moved)
    return True


async def change(
    session: AsyncSession,
    user_id: uuid.UUID,
    cluster_id: uuid.UUID,
    *,
    label: str | None,
    kept: bool | None,
) -> SpeakerCluster:
    """Change what is not None; a label keeps the cluster unless it is said otherwise.

    Raises:
        NotFound: there is none that this user may see.
    """
    await speakers.serialise(session, user_id)
    cluster = await clusters.get(session, user_id, cluster_id)
    if label is not None:
        cluster.label, cluster.kept = label, True
    if kept is not None:
        cluster.kept = kept
    await _tell(session, user_id, "changed", [cluster_id])
    return cluster


async def dissolve(session: AsyncSession, user_id: uuid.UUID, cluster_id: uuid.UUID) -> None:
    """Delete a cluster; its members are in none then.

    Raises:
        NotFound: there is none that this user may see.
    """
    await speakers.serialise(session, user_id)
    await clusters.get(session, user_id, cluster_id)
    within = clusters.members(user_id, cluster_id)
    await cluster_voices.hold_files(session, within)
    await cluster_voices.move_all(session, within, None)
    await clusters.remove(session, user_id, cluster_id)
    await _tell(session, user_id, "deleted", [cluster_id])


async def merge(
    session: AsyncSession, user_id: uuid.UUID, source_id: uuid.UUID, target_id: uuid.UUID
) -> SpeakerCluster:
    """Put all members of one cluster into another, which is kept from now on.

    That voices of the two were kept apart is forgotten.

    Raises:
        NotFound: there is no such cluster that this user may see.
        SpeakerRefused: it is one cluster.
    """
    await speakers.serialise(session, user_id)
    source = await clusters.get(session, user_id, source_id)
    target = await clusters.get(session, user_id, target_id)
    if source_id == target_id:
        raise SpeakerRefused("A cluster cannot be merged with itself: name two.")
    source_members = clusters.members(user_id, source_id)
    await cluster_voices.hold_files(
        session, or_(source_members, clusters.members(user_id, target_id))
    )
    await cluster_voices.move_all(session, source_members, target_id)
    await clusters.remove(session, user_id, source_id)
    target.label, target.kept = target.label or source.label, True
    await cluster_voices.let_together(session, user_id, target_id)
    await refresh(session, target)
    await _tell(session, user_id, "merged", [source_id, target_id])
    return target


async def _taken(
    session: AsyncSession,
    user_id: uuid.UUID,
    cluster_id: uuid.UUID,
    speaker_ids: Collection[uuid.UUID],
) -> Sequence[uuid.UUID]:
    """These members of a cluster, by id; the files of all members are held.

    Raises:
        NotFound: one of them is no member.
    """
    await cluster_voices.hold_files(session, clusters.members(user_id, cluster_id))
    found = await clusters.named_members(session, user_id, cluster_id, speaker_ids)
    there = {speaker.id for speaker, _ in found}
    for missing in sorted(set(speaker_ids) - there):
        raise NotFound("speaker", str(missing))
    return sorted(there)


async def split(
    session: AsyncSession,
    user_id: uuid.UUID,
    cluster_id: uuid.UUID,
    speaker_ids: Collection[uuid.UUID],
) -> SpeakerCluster:
    """Put members of a cluster into a new one; both are kept from now on.

    Raises:
        NotFound: there is no such cluster that this user may see, or one is no member of it.
        SpeakerRefused: these are all its members.
    """
    await speakers.serialise(session, user_id)
    source = await clusters.get(session, user_id, cluster_id)
    taken = await _taken(session, user_id, cluster_id, speaker_ids)
    if len(taken) == await cluster_voices.count(session, clusters.members(user_id, cluster_id)):
        raise SpeakerRefused("These are all members of the cluster: leave at least one in it.")
    made = SpeakerCluster(user_id=user_id, embedding_model=source.embedding_model, kept=True)
    session.add(made)
    source.kept = True
    await session.flush()
    await cluster_voices.move(session, user_id, [(one, Place(made.id)) for one in taken])
    await refresh(session, source)
    await refresh(session, made)
    await _tell(session, user_id, "split", [cluster_id, made.id])
    return made


async def take_out(
    session: AsyncSession,
    user_id: uuid.UUID,
    cluster_id: uuid.UUID,
    speaker_ids: Collection[uuid.UUID],
    *,
    cannot_link: bool,
) -> SpeakerCluster | None:
    """Take members out of a cluster; None: nobody is left, so it is gone.

    With `cannot_link` they are kept apart from those that stay: never grouped with them again, nor
    suggested to be the same.

    Raises:
        NotFound: there is no such cluster that this user may see, or one is no member of it.
    """
    await speakers.serialise(session, user_id)
    cluster = await clusters.get(session, user_id, cluster_id)
    taken = await _taken(session, user_id, cluster_id, speaker_ids)
    await cluster_voices.move(session, user_id, [(one, cluster_voices.NOWHERE) for one in taken])
    if cannot_link:
        staying = await clusters.member_ids(session, user_id, cluster_id, MAX_APART)
        await cluster_voices.keep_apart(session, taken, staying)
    there = await refresh(session, cluster)
    await _tell(session, user_id, "unassigned", [cluster_id])
    return cluster if there else None


async def promote(
    session: AsyncSession,
    user_id: uuid.UUID,
    cluster_id: uuid.UUID,
    *,
    name: str | None,
    profile_id: uuid.UUID | None,
    speaker_ids: Collection[uuid.UUID] | None,
    settings: VoiceSettings,
) -> Promotion:
    """Say that the members of a cluster, or some of them, are this person's voices.

    A person is named by the profile's id, else by a name, for which a profile is made where there
    is none.

    Raises:
        NotFound: there is no such cluster or profile that this user may see, or one is no member.
        SpeakerRefused: it has more members than are named at a time, or none.
    """
    await speakers.serialise(session, user_id)
    await clusters.get(session, user_id, cluster_id)
    members = await _promoted(session, user_id, cluster_id, speaker_ids, settings)
    held = await speakers.hold(session, user_id, members, voiceprints=False)
    if profile_id is not None:
        profile = await profiles.get(session, user_id, profile_id, lock=True)
    else:
        profile = await profiles.ensure(session, user_id, name or "")
    await speaker_rulings.lift(session, members, profile.id)
    for speaker in held:
        speaker.cluster_id = speaker.cluster_similarity = None
    await session.flush()
    remaining = await cluster_voices.count(session, clusters.members(user_id, cluster_id))
    if not remaining:
        await clusters.remove(session, user_id, cluster_id)
    wanted = [(speaker, Identity.person(profile)) for speaker in held]
    entry = await identity.change(session, user_id, wanted, ChangeAction.named)
    return Promotion(profile, held, entry, remaining)


async def _promoted(
    session: AsyncSession,
    user_id: uuid.UUID,
    cluster_id: uuid.UUID,
    speaker_ids: Collection[uuid.UUID] | None,
    settings: VoiceSettings,
) -> Collection[uuid.UUID]:
    if speaker_ids is not None:
        found = await clusters.named_members(session, user_id, cluster_id, speaker_ids)
        for missing in sorted(set(speaker_ids) - {speaker.id for speaker, _ in found}):
            raise NotFound("speaker", str(missing))
        return set(speaker_ids)
    most = settings.max_named_at_once
    members = await clusters.member_ids(session, user_id, cluster_id, most + 1)
    if len(members) > most:
        raise SpeakerRefused(
            f"The cluster has more than {most} members, which is the most that are named at once: "
            "name some of them in `speaker_ids`, then the others."
        )
    if not members:
        raise SpeakerRefused("Nobody is in this cluster any more.")
    return members


async def _tell(
    session: AsyncSession, user_id: uuid.UUID, action: str, cluster_ids: Sequence[uuid.UUID]
) -> None:
    """Last in a transaction, as every event."""
    told = clusters_updated(action, cluster_ids)
    await events.append(session, user_id, Notice.speaker_clusters_updated, told)


@dataclass(frozen=True, slots=True)
class Odd:
    """A member of a cluster that may be somebody else."""

    speaker_id: uuid.UUID
    similarity: float
    """Cosine to the mean of the others."""
    oddity: Oddity


async def odd_members(
    session: AsyncSession, cluster: SpeakerCluster, settings: VoiceSettings
) -> Sequence[Odd]:
    """Find the members of a cluster that are little like the others, worst first."""
    model = cluster.embedding_model
    found = await library.of_cluster(session, cluster.user_id, cluster.id, model)
    threshold = calibration(model, settings).clustering
    odd = await asyncio.to_thread(outliers, found.vectors, threshold)
    return [Odd(found.ids[one.index], one.similarity, one.oddity) for one in odd]
