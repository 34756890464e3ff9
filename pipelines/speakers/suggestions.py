"""Who a voice may be: what it sounds like and what is said, one line for each person.

A language model's prediction says nothing about sound: it has no similarity, and where a voice that
sounds alike is predicted too, similarity and level stay what they were.
"""

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import VoiceSettings
from db.models import NameSource, Speaker, SpeakerPrediction
from db.queries import speaker_predictions, suggestions
from db.queries.suggestions import Candidate, RuledOut
from pipelines.language.reading import clock
from pipelines.speakers.calibration import Calibration, Level, calibration

LABEL = re.compile(r"SPEAKER_\d+", re.IGNORECASE)
"""What the diarizer calls somebody: no name."""


class Source(StrEnum):
    """What says who a voice may be."""

    profile = "profile"
    """It sounds like a person's voiceprint."""
    voice = "voice"
    """It sounds like a voice of another file that has a name."""
    llm = "llm"
    """A language model takes it from what is said, and nothing that sounds alike."""


class SpeakerStatus(StrEnum):
    """How far it is known who a speaker is."""

    verified = "verified"
    suggested = "suggested"
    unverified = "unverified"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Somebody who a voice may be."""

    profile_id: uuid.UUID | None
    """None: a name that was given to a voice without a profile."""
    speaker_id: uuid.UUID | None
    """The voice that it sounds like; None: the person's voiceprint."""
    name: str
    similarity: float | None
    """Cosine of the best match; None: nothing sounds alike."""
    level: Level | None
    source: Source
    reason: str
    """For people."""
    sample_file_id: uuid.UUID | None
    """A file in which that voice speaks; None: no voice of a file matches, only the voiceprint."""
    matches: int = 1
    """How many voices and voiceprints of this person it sounds like."""
    confidence: float | None = None
    """How sure a language model is of it, 0..1; None: it says nothing of this."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Whom a language model takes a voice for."""

    name: str
    confidence: float
    reasoning: str
    profile_id: uuid.UUID | None = None
    """Of the user's person who is called so."""
    quote: str | None = None
    """What was said that shows it."""
    start: float | None = None
    """When, in seconds."""


async def of_speakers(
    session: AsyncSession,
    user_id: uuid.UUID,
    speakers: Sequence[Speaker],
    settings: VoiceSettings,
    *,
    threshold: float | None = None,
) -> Mapping[uuid.UUID, Sequence[Suggestion]]:
    """By speaker, who they may be: people first, then other names, then whom words alone suggest.

    The most similar come first; of those of one level, whom a language model names too.

    `threshold` is the least cosine, by default the model's `medium`; matches below that are not
    kept. Each speaker has an entry, perhaps an empty one. Three queries, however many speakers.
    """
    ids = {speaker.id for speaker in speakers if speaker.embedding_model is not None}
    found: dict[uuid.UUID, list[Candidate]] = defaultdict(list)
    said: dict[uuid.UUID, list[Prediction]] = defaultdict(list)
    excluded: dict[uuid.UUID, list[RuledOut]] = defaultdict(list)
    if ids:
        for candidate in await suggestions.candidates(session, user_id, ids):
            found[candidate.speaker_id].append(candidate)
    everybody = {speaker.id for speaker in speakers}
    for row, profile_id in await speaker_predictions.of_speakers(session, user_id, everybody):
        said[row.speaker_id].append(_prediction(row, profile_id))
    if asked := found.keys() | said.keys():
        for one in await suggestions.ruled_out(session, user_id, asked):
            excluded[one.speaker_id].append(one)
    return {
        speaker.id: with_predictions(
            _of_speaker(speaker, found[speaker.id], excluded[speaker.id], settings, threshold),
            said[speaker.id],
            excluded[speaker.id],
            own_profile=speaker.profile_id,
            own_name=speaker.display_name,
        )
        for speaker in speakers
    }


def _prediction(row: SpeakerPrediction, profile_id: uuid.UUID | None) -> Prediction:
    shown: Mapping[str, Any] = next((one for one in row.evidence if one.get("quote")), {})
    return Prediction(
        row.name,
        row.confidence,
        row.reasoning,
        profile_id,
        shown.get("quote"),
        shown.get("start"),
    )


def _of_speaker(
    speaker: Speaker,
    found: Sequence[Candidate],
    excluded: Sequence[RuledOut],
    settings: VoiceSettings,
    threshold: float | None,
) -> Sequence[Suggestion]:
    if not found or speaker.embedding_model is None:
        return ()
    meaning = calibration(speaker.embedding_model, settings)
    least = meaning.medium if threshold is None else threshold
    return consolidate(
        found,
        excluded,
        meaning,
        least,
        own_profile=speaker.profile_id,
        own_name=speaker.display_name,
    )


def consolidate(
    found: Iterable[Candidate],
    excluded: Iterable[RuledOut],
    meaning: Calibration,
    least: float,
    *,
    own_profile: uuid.UUID | None = None,
    own_name: str | None = None,
) -> Sequence[Suggestion]:
    """One suggestion for each person, of candidates for one voice.

    Who was ruled out is left out however they were found: the profile, the voice, and voices
    without a profile that have the name. So is who the voice has already, and what is no name.
    """
    said = list(excluded)
    voices = {one.voice_id for one in said if one.voice_id is not None}
    profiles = {one.profile_id for one in said if one.profile_id is not None} | {own_profile}
    names = {_key(name) for name in [own_name, *(one.name for one in said)] if name is not None}
    people: dict[uuid.UUID | str, list[Candidate]] = defaultdict(list)
    for one in found:
        if one.similarity < least or LABEL.fullmatch(one.name) or one.voice_id in voices:
            continue
        if one.profile_id is None and _key(one.name) not in names:
            people[_key(one.name)].append(one)
        elif one.profile_id is not None and one.profile_id not in profiles:
            people[one.profile_id].append(one)
    _join_names(people)
    return sorted((_suggestion(group, meaning) for group in people.values()), key=_order)


def _key(name: str) -> str:
    return name.lower()


def _join_names(people: dict[uuid.UUID | str, list[Candidate]]) -> None:
    """Voices without a profile that are called like a profile that was found are that person's."""
    by_name = {
        _key(group[0].name): group for key, group in people.items() if isinstance(key, uuid.UUID)
    }
    for key in [key for key in people if isinstance(key, str)]:
        if key in by_name:
            by_name[key].extend(people.pop(key))


def _suggestion(group: Sequence[Candidate], meaning: Calibration) -> Suggestion:
    best = max(group, key=_strength)
    profile = next((one for one in group if one.profile_id is not None), None)
    heard = [one for one in group if one.voice_id is not None]
    name = (profile or best).name
    level = meaning.level(best.similarity)
    return Suggestion(
        profile_id=profile.profile_id if profile else None,
        speaker_id=best.voice_id,
        name=name,
        similarity=best.similarity,
        level=level,
        source=Source.profile if best.voice_id is None else Source.voice,
        reason=_reason(best, name, level, len(group)),
        sample_file_id=max(heard, key=_strength).file_id if heard else None,
        matches=len(group),
    )


def _strength(one: Candidate) -> tuple[float, bool, str]:
    """The order of candidates for one person; equal ones have an order too."""
    return one.similarity, one.voice_id is None, str(one.voice_id)


def _order(one: Suggestion) -> tuple[bool, int, bool, float, str, str]:
    return (
        one.profile_id is None,
        -_RANK[one.level or Level.low],
        # Between voices that are about as much alike, words decide.
        one.confidence is None,
        -(one.similarity or 0.0),
        _key(one.name),
        str(one.profile_id),
    )


def with_predictions(
    heard: Sequence[Suggestion],
    said: Iterable[Prediction],
    excluded: Iterable[RuledOut],
    *,
    own_profile: uuid.UUID | None = None,
    own_name: str | None = None,
) -> Sequence[Suggestion]:
    """What a voice sounds like, together with what a language model takes from the words.

    A prediction of somebody whom it sounds like is told beside that; others stand by themselves,
    behind. Who was ruled out is left out, by profile as by name; so is who the voice has already.
    """
    rules = list(excluded)
    profiles = {own_profile, *(one.profile_id for one in rules)} - {None}
    names = {_key(name) for name in [own_name, *(one.name for one in rules)] if name is not None}
    by_name = {_key(one.name): one for one in heard}
    alone: dict[str, Suggestion] = {}
    for one in sorted(said, key=lambda each: (-each.confidence, _key(each.name))):
        key = _key(one.name)
        if key in names or one.profile_id in profiles or LABEL.fullmatch(one.name):
            continue
        if key not in by_name:
            alone.setdefault(key, _by_words(one))
        elif by_name[key].confidence is None:
            by_name[key] = _with_words(by_name[key], one)
    return [*sorted(by_name.values(), key=_order), *alone.values()]


def _by_words(one: Prediction) -> Suggestion:
    return Suggestion(
        profile_id=one.profile_id,
        speaker_id=None,
        name=one.name,
        similarity=None,
        level=None,
        source=Source.llm,
        reason=_words(one),
        sample_file_id=None,
        matches=0,
        confidence=one.confidence,
    )


def _with_words(heard: Suggestion, said: Prediction) -> Suggestion:
    reason = f"{heard.reason}; and by what is said: {_words(said)}"
    return replace(heard, reason=reason, confidence=said.confidence)


def _words(one: Prediction) -> str:
    """Why a language model takes a voice for somebody: the quote, where it has one."""
    if not one.quote:
        return one.reasoning
    at = "" if one.start is None else f" ({clock(one.start)})"
    return f"“{one.quote}”{at}"


def _reason(best: Candidate, name: str, level: Level, matches: int) -> str:
    where = f"the profile {name}" if best.voice_id is None else f"{name} in {best.filename}"
    more = "" if matches == 1 else f"; {matches} matches in all"
    return f"{_wording(best.similarity, level)} {where} ({best.similarity:.2f}){more}"


def _wording(similarity: float, level: Level) -> str:
    if similarity >= 0.95:
        return "Nearly the same voice as"
    if similarity >= 0.85:
        return "Very similar to"
    # What is much for a model may be less than that for another.
    if similarity >= 0.75 or level is Level.high:
        return "Similar to"
    return "Somewhat similar to"


def describe(speaker: Speaker, found: Sequence[Suggestion]) -> tuple[SpeakerStatus, str]:
    """How far it is known who a speaker is, and that in words."""
    if speaker.verified:
        return SpeakerStatus.verified, f"Verified as {speaker.display_name}"
    if speaker.display_name is not None:
        how = "Recognised as" if speaker.name_source is NameSource.voice else "Named"
        return SpeakerStatus.suggested, f"{how} {speaker.display_name} - click to verify"
    levels = (one.level for one in found if one.level is not None)
    best = max(levels, key=_RANK.__getitem__, default=Level.low)
    if best is Level.low and any(one.confidence is not None for one in found):
        return SpeakerStatus.suggested, "Suggested by what is said - review needed"
    return _STATUS[best]


_RANK = {Level.low: 0, Level.medium: 1, Level.high: 2}
_STATUS = {
    Level.high: (SpeakerStatus.suggested, "High confidence match - click to verify"),
    Level.medium: (SpeakerStatus.suggested, "Medium confidence match - review needed"),
    Level.low: (SpeakerStatus.unverified, "Needs identification"),
}
