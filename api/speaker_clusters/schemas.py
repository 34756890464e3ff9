"""Bodies and answers about clusters of voices."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, EXAMPLE_TASK, TaskOut, documented
from api.text import one_line
from db.models import Speaker, SpeakerCluster
from db.queries.clusters import Counts, Figures
from pipelines.speakers.calibration import Level
from pipelines.speakers.groups import Oddity
from pipelines.speakers.suggestions import Suggestion

MAX_SPEAKERS = 1000
"""Voices that one request names."""

Label = Annotated[
    str,
    Field(min_length=1, max_length=255),
    one_line,
    Field(max_length=255, description="One line; what you call the group, not yet a person's name"),
]
PersonName = Annotated[
    str,
    Field(min_length=1, max_length=255),
    one_line,
    Field(max_length=255, description="One line; a profile of this name is made, or found"),
]
Members = Annotated[
    list[uuid.UUID],
    Field(
        min_length=1,
        max_length=MAX_SPEAKERS,
        description="Speakers that are members of the cluster; each counts once",
    ),
]


class SuggestedPerson(BaseModel):
    """Who the voices of a cluster may be: what its most typical members sound like."""

    name: str
    """The name."""
    profile_id: uuid.UUID | None
    """The profile; null: the name was given to a voice without a profile."""
    similarity: float
    """Cosine of the best match, -1..1."""
    level: Level
    """What that cosine means."""
    reason: str
    """Why, in words."""

    model_config = documented(
        {
            "name": "Ada Example",
            "profile_id": EXAMPLE_ID,
            "similarity": 0.87,
            "level": "high",
            "reason": "Very similar to the profile Ada Example (0.87)",
        }
    )


EXAMPLE_CLUSTER: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "label": "Deep voice, Tuesday calls",
    "kept": True,
    "embedding_model": "campplus-en",
    "member_count": 12,
    "file_count": 11,
    "speech_seconds": 1830.5,
    "mean_similarity": 0.88,
    "min_similarity": 0.74,
    "representative_speaker_id": EXAMPLE_ID,
    "representative_file_id": EXAMPLE_ID,
    "suggestion": None,
    "created_at": EXAMPLE_MOMENT,
    "updated_at": EXAMPLE_MOMENT,
}


class ClusterOut(BaseModel):
    """Voices without a name, of several files, that seem to be one person's."""

    id: uuid.UUID
    """The cluster's id; it stays when voices are clustered anew and most members are the same."""
    label: str | None
    """What you call it; null: nothing yet."""
    kept: bool
    """Whether you labelled, merged or split it: clustering anew leaves it as it is."""
    embedding_model: str
    """The model of the voiceprints by which its members are compared."""
    member_count: int
    """How many voices are in it."""
    file_count: int
    """In how many files."""
    speech_seconds: float
    """How long these speak."""
    mean_similarity: float | None
    """Mean of the members' cosines to the cluster's mean; null: nobody can be compared."""
    min_similarity: float | None
    """The least of these."""
    representative_speaker_id: uuid.UUID | None
    """The most typical member: whom to listen to; null: nobody is in it any more."""
    representative_file_id: uuid.UUID | None
    """The file of that one."""
    suggestion: SuggestedPerson | None
    """Who it may be; null: it sounds like nobody known."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When you last changed it."""

    @classmethod
    def of(
        cls,
        row: SpeakerCluster,
        figures: Figures,
        typical: Sequence[Speaker],
        suggestion: Suggestion | None,
    ) -> Self:
        """The answer about this row; `typical`: its most typical members first."""
        return cls(
            id=row.id,
            label=row.label,
            kept=row.kept,
            embedding_model=row.embedding_model,
            member_count=figures.members,
            file_count=figures.files,
            speech_seconds=figures.speech_seconds,
            mean_similarity=figures.mean_similarity,
            min_similarity=figures.min_similarity,
            representative_speaker_id=typical[0].id if typical else None,
            representative_file_id=typical[0].media_file_id if typical else None,
            suggestion=SuggestedPerson.model_validate(suggestion) if suggestion else None,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    model_config = documented(EXAMPLE_CLUSTER)


EXAMPLE_MEMBER: dict[str, Any] = {
    "speaker_id": EXAMPLE_ID,
    "label": "SPEAKER_01",
    "file_id": EXAMPLE_ID,
    "filename": "Tuesday call",
    "speech_seconds": 182.4,
    "clean_seconds": 170.2,
    "similarity": 0.91,
}


class MemberOut(BaseModel):
    """A voice in a cluster."""

    speaker_id: uuid.UUID
    """The speaker."""
    label: str
    """How the file's transcript calls it."""
    file_id: uuid.UUID
    """The file."""
    filename: str
    """The file's title, else its name."""
    speech_seconds: float
    """How long it speaks in the file."""
    clean_seconds: float
    """How long nobody else speaks meanwhile."""
    similarity: float | None
    """Cosine to the cluster's mean; null: its voiceprint is another model's."""

    @classmethod
    def of(cls, speaker: Speaker, filename: str) -> Self:
        """The answer about this speaker."""
        return cls(
            speaker_id=speaker.id,
            label=speaker.label,
            file_id=speaker.media_file_id,
            filename=filename,
            speech_seconds=speaker.speech_seconds,
            clean_seconds=speaker.clean_seconds,
            similarity=speaker.cluster_similarity,
        )

    model_config = documented(EXAMPLE_MEMBER)


class ClusterDetail(ClusterOut):
    """A cluster with its most typical members."""

    members: Sequence[MemberOut]
    """At most 20, the most typical first; `…/members` lists all."""

    model_config = documented({**EXAMPLE_CLUSTER, "members": [EXAMPLE_MEMBER]})


class OutlierOut(MemberOut):
    """A member that may be somebody else."""

    similarity_to_others: float
    """Cosine to the mean of all other members."""
    oddity: Oddity
    """Why: below what joins voices, or much further off than the others are from each other."""
    reason: str
    """The same in words."""

    model_config = documented(
        {
            **EXAMPLE_MEMBER,
            "similarity_to_others": 0.41,
            "oddity": "below_threshold",
            "reason": "Its cosine to the others, 0.41, is below 0.75, from which on voices are "
            "put together.",
        }
    )


class ClusterChanges(BaseModel):
    """What is to be different; what is left out stays as it is."""

    label: Label | None = None
    """What you call it, which also keeps it; null: as it is."""
    kept: bool | None = None
    """Whether clustering anew leaves it as it is; null: as it is."""

    @model_validator(mode="after")
    def something(self) -> Self:
        """Refuse a change of nothing."""
        if self.label is None and self.kept is None:
            raise ValueError("send a label, kept, or both")
        return self

    model_config = documented({"label": "Deep voice, Tuesday calls"})


class PromoteRequest(BaseModel):
    """Whose voices these are: a person by name, or by the id of the profile."""

    name: PersonName | None = None
    """The person's name; null: `profile_id` says who."""
    profile_id: uuid.UUID | None = None
    """One of your profiles; null: `name` says who."""
    speaker_ids: Members | None = None
    """Only these members; null: all."""

    @model_validator(mode="after")
    def one_person(self) -> Self:
        """Refuse nobody, and two."""
        if (self.name is None) == (self.profile_id is None):
            raise ValueError("send either a name or a profile_id")
        return self

    model_config = documented({"name": "Ada Example"})


class Promoted(BaseModel):
    """What came of it."""

    profile_id: uuid.UUID
    """The person's profile."""
    name: str
    """As the profile spells it."""
    speaker_ids: Sequence[uuid.UUID]
    """Whose voice is theirs now."""
    change_id: uuid.UUID | None
    """By which this can be undone; null: they were this person already."""
    remaining: int
    """Members that the cluster still has; 0: it is gone."""

    model_config = documented(
        {
            "profile_id": EXAMPLE_ID,
            "name": "Ada Example",
            "speaker_ids": [EXAMPLE_ID],
            "change_id": EXAMPLE_ID,
            "remaining": 0,
        }
    )


class SplitRequest(BaseModel):
    """Who goes into a cluster of their own."""

    speaker_ids: Members

    model_config = documented({"speaker_ids": [EXAMPLE_ID]})


class UnassignRequest(BaseModel):
    """Who is taken out."""

    speaker_ids: Members
    cannot_link: bool = True
    """Whether they are no voices of whoever stays: never grouped with them, or suggested to be
    the same, again."""

    model_config = documented({"speaker_ids": [EXAMPLE_ID], "cannot_link": True})


class Unassigned(BaseModel):
    """What is left."""

    cluster: ClusterOut | None
    """The cluster as it is now; null: it was the last one, and the cluster is gone."""

    model_config = documented({"cluster": EXAMPLE_CLUSTER})


class ClusterStats(BaseModel):
    """Your voices and clusters, counted."""

    clusters: int
    """Clusters with members."""
    kept_clusters: int
    """Of these, such as you keep."""
    voices: int
    """Speakers of all your files."""
    named: int
    """Of these, such as have a name."""
    unnamed: int
    """Such as have none."""
    comparable: int
    """Unnamed ones with a voiceprint of enough clean speech to be grouped."""
    clustered: int
    """Voices that are in a cluster."""
    task: TaskOut | None
    """The latest clustering; null: there was none."""

    @classmethod
    def of(cls, clusters: int, kept: int, counts: Counts, task: TaskOut | None) -> Self:
        """The answer about these counts."""
        return cls(
            clusters=clusters,
            kept_clusters=kept,
            voices=counts.voices,
            named=counts.named,
            unnamed=counts.unnamed,
            comparable=counts.compared,
            clustered=counts.clustered,
            task=task,
        )

    model_config = documented(
        {
            "clusters": 14,
            "kept_clusters": 3,
            "voices": 420,
            "named": 180,
            "unnamed": 240,
            "comparable": 210,
            "clustered": 150,
            "task": {**EXAMPLE_TASK, "kind": "clustering", "media_file_id": None, "options": {}},
        }
    )
