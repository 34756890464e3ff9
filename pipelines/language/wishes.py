"""What a user wants language models to do by themselves, and in which language."""

import uuid
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import TaskKind
from db.queries import user_settings


class OutputLanguage(StrEnum):
    """Languages in which summaries can be asked for; the choice is the seed's."""

    en = "en"
    es = "es"
    fr = "fr"
    de = "de"
    it = "it"
    pt = "pt"
    nl = "nl"
    ru = "ru"
    zh = "zh"
    ja = "ja"
    ko = "ko"
    ar = "ar"


class Wishes(BaseModel):
    """What follows a transcription by itself, where a language model is set up."""

    section: ClassVar[str] = "ai-summary"

    # Whoever sets up a model does so for summaries; the system that this one replaces makes them.
    enabled: bool = True
    """Whether every new transcript is summarised."""
    # One short look at a transcript, only where somebody has no name; it suggests, no more.
    speakers: bool = True
    """Whether names are suggested for the speakers whom nobody has named."""
    # Tags are a vocabulary that somebody keeps: suggestions for every file, unasked, are a pile of
    # decisions, and one more pass over the transcript that a provider has to be paid for.
    topics: bool = False
    """Whether tags and collections are suggested."""
    language: OutputLanguage | None = None
    """In which language summaries are written; null: the transcript's."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    @property
    def kinds(self) -> tuple[TaskKind, ...]:
        """The tasks that follow a transcription, in their order."""
        wanted = {
            # Names first: a summary is read with them.
            TaskKind.speaker_identification: self.speakers,
            TaskKind.summarization: self.enabled,
            TaskKind.topic_extraction: self.topics,
        }
        return tuple(kind for kind, is_wanted in wanted.items() if is_wanted)


async def load(session: AsyncSession, user_id: uuid.UUID) -> Wishes:
    """A user's wishes; what they did not set has its default."""
    return Wishes.model_validate(await user_settings.get(session, user_id, Wishes.section))
