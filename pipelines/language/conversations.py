"""Reads a transcript as a conversation that language models work on."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import MediaFile, Segment, Speaker
from db.queries import transcripts
from db.queries.transcripts import StoredTranscript
from pipelines.documents import DOUBT_MARK
from pipelines.errors import TaskFailed
from pipelines.language.base import Conversation, Utterance

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker, as the conversation shows them."""

    id: uuid.UUID
    label: str
    shown: str

    @property
    def named(self) -> bool:
        """Whether somebody gave it a name, or its sound did."""
        return self.shown != self.label


@dataclass(frozen=True, slots=True)
class Read:
    """A transcript as it was read: what is made of it is of this version."""

    file_id: uuid.UUID
    version: int
    conversation: Conversation
    voices: Sequence[Voice]

    @property
    def language(self) -> str:
        """In which it is written."""
        return self.conversation.language or ENGLISH


async def read(session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID) -> Read:
    """A file's transcript.

    Raises:
        TaskFailed: nothing is said in it.
    """
    file = await session.get_one(MediaFile, file_id)
    stored = await transcripts.of_file(session, user_id, file_id)
    if stored is None or not any(segment.text.strip() for segment in stored.segments):
        raise TaskFailed("transcript_empty", "Nothing is said in this recording.")
    return of_rows(file, stored)


def of_rows(file: MediaFile, stored: StoredTranscript) -> Read:
    """The conversation of a file's rows."""
    voices = [_voice(speaker) for speaker in stored.speakers]
    shown = {voice.id: voice.shown for voice in voices}
    last = max((segment.end for segment in stored.segments), default=0.0)
    transcript = stored.transcript
    conversation = Conversation(
        title=file.title or file.filename,
        duration=file.duration or last,
        # What Whisper translates, it translates into English.
        language=ENGLISH if transcript.task == "translate" else transcript.language,
        utterances=tuple(_utterance(segment, shown) for segment in stored.segments),
    )
    return Read(file.id, transcript.version, conversation, voices)


def _voice(speaker: Speaker) -> Voice:
    return Voice(speaker.id, speaker.label, speaker.display_name or speaker.label)


def _utterance(segment: Segment, shown: Mapping[uuid.UUID, str]) -> Utterance:
    # Nobody is to find in a summary, as said, what may not have been said.
    text = f"{DOUBT_MARK} {segment.text}" if segment.doubt else segment.text
    speaker = shown.get(segment.speaker_id, "") if segment.speaker_id else ""
    return Utterance(speaker, segment.start, segment.end, text)
