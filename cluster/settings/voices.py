"""Settings of voiceprints: which are trusted, what counts as the same voice."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import MIB, Count, Group, Seconds

Cosine = Annotated[float, Field(ge=-1, le=1)]


class VoiceSettings(Group):
    """Voices across recordings. Thresholds are cosines; unset: what was measured for the model."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_VOICES_", extra="ignore", frozen=True, populate_by_name=True
    )

    min_clean_seconds: Seconds = 2
    """A voiceprint of less speech alone than this is stored, but not compared."""
    neighbours: Count = 20
    """Most voices of other files that a new one is matched with."""
    profile_neighbours: Count = 500
    """Most voices that a person's voiceprint is matched with when it changes, nearest first; voices
    that come later find it by themselves."""
    high: Cosine | None = None
    """From here on two voices are taken for the same person's."""
    medium: Cosine | None = None
    """From here on a name is suggested."""
    auto_accept: bool | None = None
    """Whether a voice that matches a profile highly gets its name by itself. Unset: where the
    model's figures carry it."""
    max_profile_samples: Count = 256
    """Most voices whose mean is a profile's voiceprint: those with most speech."""
    max_speakers_per_file: Count = 200
    """Speakers of one file, those that people add or split off included: lists of a file's speakers
    and its transcript tell them all."""
    max_propagated: Count = 500
    """Voices that get a name in one request: each has its transcript locked and rewritten."""
    min_enrolment_seconds: Seconds = 5
    """Speech that a clip for enrolment must have."""
    max_enrolment_seconds: Seconds = 300
    """Longest clip: it is decoded in memory, and worked on as one piece."""
    max_enrolment_bytes: Count = 7 * MIB
    """Largest clip: it comes in one body (`RAYSCRIBE_MAX_BODY_BYTES`)."""
    max_enrolments_per_profile: Count = 20
    """Most clips of one person."""
    max_clustered_voices: Count = 200_000
    """Most unnamed voices of one user that are clustered at a time; the vectors are in memory."""
    max_named_at_once: Count = 5000
    """Most voices of a cluster that one request gives a name: it changes as many transcripts."""
