"""Passages as documents of Meilisearch: settings, filters and queries, and hits from answers."""

import hashlib
import unicodedata
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from db.keywords.port import KeywordHit, KeywordQuery, PassageDocument, PassageFilters, Span

Json = dict[str, Any]

OWNER, FILE = "owner_id", "media_file_id"
PREFIXES = "file_prefixes"
"""First digits of the file's id: all files are counted in parts by them."""
LONGEST_PREFIX = 3
MAX_HITS = 10_000
"""Hits of one search, the most that settings ask for."""
MAX_FACETS = 5_000
"""Files that are counted in one answer."""
MAX_TERMS = 10
"""Words and phrases of a query that Meilisearch looks at."""
SHORT = 3
"""Letters of a word that is left out first where there are more."""
SEARCHED = ("text", "title")
SHOWN = ("id", FILE, "number", "start", "end", "text", "title", "speakers")
FILTERED = (
    "id",
    OWNER,
    FILE,
    PREFIXES,
    "speaker_keys",
    "tag_keys",
    "type_keys",
    "language_key",
    "collections",
    "created_at",
    "duration",
    "size_bytes",
    "folded_title",
)


def index_settings(cutoff_seconds: float) -> Json:
    """What an index of ours is set to; a search may take `cutoff_seconds`."""
    return {
        # What is said counts for more than what the file is called.
        "searchableAttributes": list(SEARCHED),
        "displayedAttributes": list(SHOWN),
        "filterableAttributes": list(FILTERED),
        # The place of a word in a passage says nothing, so `attribute`, which looks at it, is last.
        "rankingRules": ["words", "typo", "proximity", "exactness", "attribute"],
        "typoTolerance": {
            "enabled": True,
            "minWordSizeForTypos": {"oneTypo": 5, "twoTypos": 9},
        },
        "pagination": {"maxTotalHits": MAX_HITS},
        "faceting": {"maxValuesPerFacet": MAX_FACETS},
        # By default it ranks by half of the rules after 1.5 s, and does not say so.
        "searchCutoffMs": int(cutoff_seconds * 1000),
    }


def are_set(wanted: Json, found: Mapping[str, Any]) -> bool:
    """Whether the settings that an index has include these."""
    return all(_same(value, found.get(name)) for name, value in wanted.items())


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and are_set(wanted, found)
    return bool(wanted == found)


def document(passage: PassageDocument) -> Json:
    """A passage as it is stored; what is only filtered by is not shown in hits."""
    file = passage.file
    digits = passage.media_file_id.hex
    return {
        "id": str(passage.id),
        OWNER: str(passage.owner_id),
        FILE: str(passage.media_file_id),
        PREFIXES: [digits[:length] for length in range(1, LONGEST_PREFIX + 1)],
        "number": passage.number,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "title": file.title,
        "folded_title": _folded(file.title),
        "speakers": list(passage.speakers),
        "speaker_keys": _keys(passage.speakers),
        "tag_keys": _keys(file.tags),
        "type_keys": _keys((file.content_type, file.content_type.partition("/")[0])),
        "language_key": _key(file.language) if file.language is not None else None,
        "collections": [str(one) for one in file.collections],
        "created_at": _moment(file.created_at),
        "duration": file.duration,
        "size_bytes": file.size_bytes,
    }


def of_owner(
    owner_id: uuid.UUID, media_file_id: uuid.UUID | None = None, keep: Collection[uuid.UUID] = ()
) -> str:
    """The filter that an owner's passages pass, or those of one file, but those in `keep`."""
    found = [_one_of(OWNER, [owner_id])]
    if media_file_id is not None:
        found.append(_one_of(FILE, [media_file_id]))
    if keep:
        found.append(f"NOT {_one_of('id', keep)}")
    return " AND ".join(found)


def of_files(media_file_ids: Collection[uuid.UUID]) -> str:
    """The filter that passages of these files pass, whosever they are."""
    return _one_of(FILE, media_file_ids)


def counted_by_file(digits: str) -> Json:
    """The body of a question how many passages the files have whose ids begin with these digits."""
    narrowed = {"filter": _one_of(PREFIXES, [digits])} if digits else {}
    return {"limit": 0, "facets": [FILE], **narrowed}


def asked_for(owner_id: uuid.UUID, query: KeywordQuery, limit: int) -> Json | None:
    """The body of a search; None: no passage can be found."""
    text = _text(query)
    if (query.words or query.phrases) and not text:
        return None
    if query.filters.media_file_ids is not None and not query.filters.media_file_ids:
        return None
    return {
        "q": text,
        "filter": " AND ".join([of_owner(owner_id), *_narrowed(query.filters)]),
        "limit": min(limit, MAX_HITS),
        "attributesToRetrieve": list(SHOWN),
        "showMatchesPosition": True,
        "showRankingScore": True,
        # Of words that no passage has together, the rarest are those that matter.
        "matchingStrategy": "frequency",
    }


def hits(answer: Mapping[str, Any]) -> list[KeywordHit]:
    """What was found. Without any match (a query of signs only) Meilisearch shows everything."""
    found = [_hit(one) for one in answer["hits"]]
    if answer["query"] and not any(hit.marks or hit.title_matched for hit in found):
        return []
    return found


def _hit(found: Mapping[str, Any]) -> KeywordHit:
    matches = found["_matchesPosition"]
    return KeywordHit(
        id=uuid.UUID(found["id"]),
        media_file_id=uuid.UUID(found[FILE]),
        number=found["number"],
        start=found["start"],
        end=found["end"],
        text=found["text"],
        speakers=tuple(found["speakers"]),
        score=found["_rankingScore"],
        marks=spans(found["text"], matches.get("text", ())),
        title_matched=bool(matches.get("title")),
    )


def spans(text: str, matches: Iterable[Mapping[str, int]]) -> tuple[Span, ...]:
    """Matches, which are told in bytes of UTF-8, in characters; those that overlap are one."""
    data = text.encode()

    def characters(size: int) -> int:
        return len(data[:size].decode(errors="ignore"))

    found: list[Span] = []
    for start, end in sorted((one["start"], one["start"] + one["length"]) for one in matches):
        first, last = characters(start), characters(end)
        if found and first < found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        elif first < last:
            found.append((first, last))
    return tuple(found)


def _text(query: KeywordQuery) -> str:
    """The query in Meilisearch's syntax: phrases first, so that the last word is a beginning."""
    phrases = [f'"{plain}"' for one in query.phrases if (plain := _plain(one))][:MAX_TERMS]
    words = [plain for one in query.words if (plain := _plain(one))]
    return " ".join(phrases + _foremost(words, MAX_TERMS - len(phrases)))


def _plain(text: str) -> str:
    """Without what Meilisearch would take for syntax: quotes, and a minus before a word."""
    known = unicodedata.normalize("NFKC", text).replace('"', " ")
    return " ".join(plain for piece in known.split() if (plain := piece.lstrip("-")))


def _foremost(words: Sequence[str], most: int) -> list[str]:
    """At most so many words, in their order: short ones say least, then the last ones go."""
    places = sorted(range(len(words)), key=lambda place: (_is_short(words[place]), place))
    return [words[place] for place in sorted(places[:most])]


def _is_short(word: str) -> bool:
    """Whether it is like "the" and "of"; in some scripts two characters say much."""
    return len(word) <= SHORT and word.isascii()


def _narrowed(filters: PassageFilters) -> list[str]:
    """The conditions of a query; all must hold."""
    found = [_one_of("tag_keys", [key]) for key in _keys(filters.tags)]
    if filters.media_file_ids is not None:
        found.append(_one_of(FILE, filters.media_file_ids))
    if filters.speakers:
        found.append(_one_of("speaker_keys", _keys(filters.speakers)))
    if filters.file_types:
        found.append(_one_of("type_keys", _keys(filters.file_types)))
    if filters.language is not None:
        found.append(_one_of("language_key", [_key(filters.language)]))
    if filters.collection_id is not None:
        found.append(_one_of("collections", [filters.collection_id]))
    if filters.title:
        found.append(f'folded_title CONTAINS "{_folded(filters.title)}"')
    return found + _bounds(filters)


def _bounds(filters: PassageFilters) -> list[str]:
    limits = (
        ("created_at", ">=", _moment(filters.from_date)),
        ("created_at", "<", _moment(filters.before_date)),
        ("duration", ">=", filters.min_duration),
        ("duration", "<=", filters.max_duration),
        ("size_bytes", ">=", filters.min_file_size),
        ("size_bytes", "<=", filters.max_file_size),
    )
    return [f"{name} {sign} {value!r}" for name, sign, value in limits if value is not None]


def _one_of(field: str, values: Collection[object]) -> str:
    """Values are ids and keys: letters, digits and `-`, so that none can end the quotes."""
    quoted = ", ".join(f'"{value}"' for value in values)
    return f"{field} IN [{quoted}]"


def _moment(when: datetime | None) -> float | None:
    """In seconds since 1970: moments are compared as numbers."""
    return when.timestamp() if when is not None else None


def _keys(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(_key, names)))


def _key(name: str) -> str:
    """What stands for a name in filters, in any letter case: as it is, it could be syntax."""
    return hashlib.blake2b(name.casefold().encode(), digest_size=16).hexdigest()


def _folded(title: str) -> str:
    """A title as parts of it are compared, without what is syntax in a filter."""
    return title.casefold().replace('"', "'").replace("\\", "/")
