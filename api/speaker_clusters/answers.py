"""Answers about clusters, with figures, the most typical members, and who these may be."""

import uuid
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from api.speaker_clusters.schemas import ClusterDetail, ClusterOut, MemberOut, OutlierOut
from cluster.settings import VoiceSettings
from db.models import Speaker, SpeakerCluster
from db.queries import clusters
from db.queries.clusters import Figures
from pipelines.speakers import suggestions
from pipelines.speakers.calibration import calibration
from pipelines.speakers.cluster_edits import Odd
from pipelines.speakers.groups import Oddity
from pipelines.speakers.suggestions import Suggestion

ASKED = 5
"""Members of a cluster who are asked whom they sound like: the most typical ones."""
SHOWN = 20
"""Members in the answer about one cluster."""


async def cluster_answers(
    session: AsyncSession,
    user_id: uuid.UUID,
    rows: Sequence[SpeakerCluster],
    settings: VoiceSettings,
) -> list[ClusterOut]:
    """These clusters, all of this user."""
    ids = [row.id for row in rows]
    figures = await clusters.figures(session, user_id, ids)
    typical = await clusters.representatives(session, user_id, ids, ASKED)
    asked = [speaker for members in typical.values() for speaker in members]
    found = await suggestions.of_speakers(session, user_id, asked, settings)
    return [
        ClusterOut.of(
            row,
            figures.get(row.id, Figures()),
            members := typical.get(row.id, ()),
            _best([one for speaker in members for one in found[speaker.id]]),
        )
        for row in rows
    ]


def _best(found: Sequence[Suggestion]) -> Suggestion | None:
    """The most similar of what its members sound like; of equals a person rather than a name.

    What is said in one recording says nothing about a group of voices.
    """
    alike = [one for one in found if one.similarity is not None]
    return max(
        alike, key=lambda one: (one.similarity or 0.0, one.profile_id is not None), default=None
    )


async def cluster_answer(
    session: AsyncSession, user_id: uuid.UUID, row: SpeakerCluster, settings: VoiceSettings
) -> ClusterOut:
    """One cluster."""
    return (await cluster_answers(session, user_id, [row], settings))[0]


async def detail(
    session: AsyncSession, user_id: uuid.UUID, row: SpeakerCluster, settings: VoiceSettings
) -> ClusterDetail:
    """One cluster with its most typical members."""
    answer = await cluster_answer(session, user_id, row, settings)
    members, _ = await clusters.member_page(session, user_id, row.id, limit=SHOWN, offset=0)
    return ClusterDetail(**answer.model_dump(), members=[MemberOut.of(*one) for one in members])


def outlier(speaker: Speaker, filename: str, odd: Odd, settings: VoiceSettings) -> OutlierOut:
    """A member that may be somebody else, with the reason in words."""
    member = MemberOut.of(speaker, filename)
    return OutlierOut(
        **member.model_dump(),
        similarity_to_others=odd.similarity,
        oddity=odd.oddity,
        reason=_reason(odd, speaker, settings),
    )


def _reason(odd: Odd, speaker: Speaker, settings: VoiceSettings) -> str:
    told = f"Its cosine to the others, {odd.similarity:.2f}, is"
    if odd.oddity is Oddity.below_threshold:
        least = calibration(speaker.embedding_model or "", settings).clustering
        return f"{told} below {least:.2f}, from which on voices are put together."
    return f"{told} much less than theirs to each other."
