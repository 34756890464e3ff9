"""Who speaks how much, computed, as prompts show it and summaries say it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.language.base import Conversation

TOKENS_PER_SPEAKER_SHOWN = 256
"""A speaker is shown for so much of the context: the list stays a small part of any prompt."""
FEWEST_SHOWN, MOST_SHOWN = 4, 24


@dataclass(frozen=True, slots=True)
class SpeakerShare:
    """How much one speaker says."""

    speaker: str
    seconds: float
    percentage: float
    """Of the time in which anybody speaks."""
    words: int
    turns: int

    @property
    def shown(self) -> str:
        """As a prompt shows it."""
        return f"{self.speaker}: {self.percentage:.0f} %, {self.words} words, {self.turns} turns"


def shares(conversation: Conversation) -> list[SpeakerShare]:
    """All speakers; those who say most come first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    words: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    last = None
    for utterance in conversation.utterances:
        speaker = " ".join(utterance.speaker.split()) or "Unknown"
        seconds[speaker] += max(0.0, utterance.end - utterance.start)
        words[speaker] += len(utterance.text.split())
        turns[speaker] += speaker != last
        last = speaker
    whole = sum(seconds.values()) or 1.0
    found = [
        SpeakerShare(
            speaker, spoken, round(100 * spoken / whole, 1), words[speaker], turns[speaker]
        )
        for speaker, spoken in seconds.items()
    ]
    return sorted(found, key=lambda share: (-share.seconds, share.speaker))


def shown(speakers: Sequence[SpeakerShare], context_tokens: int) -> str:
    """What prompts say of the speakers: as many as the context has room for, the rest counted."""
    most = max(FEWEST_SHOWN, min(MOST_SHOWN, context_tokens // TOKENS_PER_SPEAKER_SHOWN))
    text = "; ".join(share.shown for share in speakers[:most])
    if rest := speakers[most:]:
        text += f"; {len(rest)} others: {sum(share.percentage for share in rest):.0f} %"
    return text
