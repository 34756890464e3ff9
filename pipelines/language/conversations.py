"""Reads a transcript as a conversation that language models work on."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import MediaFile, Speaker
from db.queries import transcripts
from db.queries.transcripts import Spoken
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
    transcript = await transcripts.head(session, user_id, file_id)
    # Without words and their times: of a long recording these are most of it.
    said = await transcripts.spoken(session, transcript.id) if transcript else ()
    if transcript is None or not any(line.text.strip() for line in said):
        raise TaskFailed("transcript_empty", "Nothing is said in this recording.")
    voices = [_voice(speaker) for speaker in await transcripts.speakers(session, file_id)]
    shown = {voice.id: voice.shown for voice in voices}
    conversation = Conversation(
        title=file.title or file.filename,
        duration=file.duration or max(line.end for line in said),
        # What Whisper translates, it translates into English.
        language=ENGLISH if transcript.task == "translate" else transcript.language,
        utterances=tuple(_utterance(line, shown) for line in said),
    )
    return Read(file.id, transcript.version, conversation, voices)


def _voice(speaker: Speaker) -> Voice:
    return Voice(speaker.id, speaker.label, speaker.display_name or speaker.label)


def _utterance(line: Spoken, shown: Mapping[uuid.UUID, str]) -> Utterance:
    # Nobody is to find in a summary, as said, what may not have been said.
    text = f"{DOUBT_MARK} {line.text}" if line.doubt else line.text
    speaker = shown.get(line.speaker_id, "") if line.speaker_id else ""
    return Utterance(speaker, line.start, line.end, text)
