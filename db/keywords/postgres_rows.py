"""Passages as rows of PostgreSQL: their words as lexemes that say whose they are."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.keywords.port import FileFacts, PassageDocument
from db.keywords.words import said

Row = dict[str, Any]

TAG_CHARACTERS = 3
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
SPEAKER = "@"
"""What a lexeme of a speaker begins with after the tag; no word does."""
BETWEEN = 100
"""Steps between the last word of the text and the first of the title: no phrase goes across."""
LAST_POSITION = 16_383
"""PostgreSQL knows no later one."""

STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""PostgreSQL's, by language; other languages' words are compared as they are."""


def stemmer(language: str | None) -> str:
    """The dictionary that takes a word of a language to its stem."""
    name = STEMMERS.get((language or "").partition("-")[0].casefold())
    return "simple" if name is None else f"{name}_stem"


def tag(owner_id: uuid.UUID) -> str:
    """What an owner's lexemes begin with, so that the index has his words by themselves.

    Two owners in 46,656 may share one: who owns a passage is a condition of every question besides.
    """
    number = int.from_bytes(hashlib.blake2b(owner_id.bytes, digest_size=8).digest())
    found = ""
    for _ in range(TAG_CHARACTERS):
        number, digit = divmod(number, len(DIGITS))
        found += DIGITS[digit]
    return found


def key(name: str) -> str:
    """A name as it is compared, in any letter case; what PostgreSQL cannot keep is in none."""
    return name.casefold().encode(errors="replace").decode().replace("\x00", "\ufffd")


def speaker(name: str) -> str:
    """The lexeme of who speaks, without the tag: a name may hold what no lexeme can."""
    return SPEAKER + hashlib.blake2b(key(name).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Given:
    """Rows as JSON, in the order of their ids, in which every writer locks them."""

    files: str
    passages: str


def given(documents: Sequence[PassageDocument]) -> Given:
    """The rows of passages and of their files; of two with one id, the last."""
    files = {str(one.media_file_id): _file(one, one.file) for one in documents}
    passages = {str(one.id): _passage(one) for one in documents}
    return Given(_sorted(files), _sorted(passages))


def _sorted(found: Mapping[str, Row]) -> str:
    return json.dumps([found[one] for one in sorted(found)])


def _passage(one: PassageDocument) -> Row:
    return {
        "id": str(one.id),
        "owner_id": str(one.owner_id),
        "media_file_id": str(one.media_file_id),
        "number": one.number,
        "start_time": one.start,
        "end_time": one.end,
        "stemmer": stemmer(one.file.translated_to or one.file.language),
        "speakers": list(one.speakers),
        "words": _lexemes(one),
        "body": one.text,
    }


def _lexemes(one: PassageDocument) -> str:
    """The words of a passage as PostgreSQL reads them: where each is, in the title as `A`."""
    mine = tag(one.owner_id)
    places: dict[str, list[str]] = {speaker(name): [] for name in one.speakers}
    position = 0
    for position, word in enumerate(said(one.text), start=1):
        places.setdefault(word, []).append(str(min(position, LAST_POSITION)))
    for place, word in enumerate(said(one.file.title), start=position + BETWEEN):
        places.setdefault(word, []).append(f"{min(place, LAST_POSITION)}A")
    return " ".join(
        f"'{mine}{word}'" + (":" + ",".join(where) if where else "")
        for word, where in places.items()
    )


def _file(one: PassageDocument, facts: FileFacts) -> Row:
    content_type = key(facts.content_type)
    return {
        "media_file_id": str(one.media_file_id),
        "owner_id": str(one.owner_id),
        "title": facts.title,
        "title_key": key(facts.title),
        "created_at": facts.created_at.isoformat(),
        "content_type": content_type,
        "kind": content_type.partition("/")[0],
        "size_bytes": facts.size_bytes,
        "duration": facts.duration,
        "language": key(facts.language) if facts.language is not None else None,
        "tags": [key(name) for name in facts.tags],
        "collections": [str(one) for one in facts.collections],
    }
