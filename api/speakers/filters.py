"""Query parameters that narrow a list of voices."""

import uuid
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from api.dependencies import App
from api.text import one_line
from db.queries.speaker_lists import SpeakerFilters
from pipelines.speakers import thresholds
from pipelines.speakers.suggestions import SpeakerStatus

Words = Annotated[str, Field(min_length=1, max_length=200), one_line]


def _filters(
    services: App,
    file_id: Annotated[uuid.UUID | None, Query(description="Voices of this file")] = None,
    profile_id: Annotated[uuid.UUID | None, Query(description="Voices of this person")] = None,
    cluster_id: Annotated[
        uuid.UUID | None, Query(description="Voices of this group of unnamed voices")
    ] = None,
    verified: Annotated[bool | None, Query(description="Whether a person said who it is")] = None,
    named: Annotated[bool | None, Query(description="Whether it has a name")] = None,
    search: Annotated[
        Words | None, Query(description="A part of the name or label, in any letter case")
    ] = None,
    status: Annotated[
        SpeakerStatus | None,
        Query(
            description="`verified`; `suggested`: it has a name that nobody verified, or may be "
            "somebody; `unverified`: none of these"
        ),
    ] = None,
) -> SpeakerFilters:
    medium = thresholds.suggested(services.voices)
    asked = {verified} if verified is not None else set()
    if status is not None:
        asked.add(status is SpeakerStatus.verified)
    return SpeakerFilters(
        file_id=file_id,
        profile_id=profile_id,
        cluster_id=cluster_id,
        verified=asked,
        named=named,
        suggested=medium if status is SpeakerStatus.suggested else None,
        unknown=medium if status is SpeakerStatus.unverified else None,
        search=search,
    )


Narrowed = Annotated[SpeakerFilters, Depends(_filters)]
"""Which voices a list shows."""
