"""Makes one order of what both stores found."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace

from cluster.settings import SearchSettings
from db.engine import session_scope
from db.keywords.port import KeywordHit
from db.queries import found_files
from db.queries.found_files import Place, SaidLine
from db.vectors.port import Hit
from pipelines import marking
from pipelines.search import asking, fusion, query
from pipelines.search.found import (
    Asked,
    Mode,
    NothingAsked,
    RankedPassage,
    Ranking,
    SearchStores,
)
from pipelines.search.fusion import Ranks


async def rank(asked: Asked, stores: SearchStores) -> Ranking:
    """All passages that are found, best first: up to a window of each store.

    Raises:
        StoreUnavailable, SpeechError: nothing that was asked answered.
        NothingAsked: there is nothing in the text that the mode could look for.
    """
    wanted = query.parse(asked.text, stores.settings.max_query_words)
    if wanted.is_empty:
        raise NothingAsked("holds no letter, digit or symbol that could be looked for")
    if asked.mode is Mode.semantic and not wanted.meaning:
        raise NothingAsked("names a speaker only, which has no meaning: use another mode")
    found = await asking.ask(asked, wanted, stores)
    by_meaning: Sequence[Hit] = found.by_meaning
    if wanted.phrases:
        known = {hit.id for hit in found.by_words}
        by_meaning = await _with_phrases(asked.user_id, wanted.phrases, by_meaning, known, stores)
    return Ranking(
        wanted,
        _fused(found.by_words, by_meaning, stores.settings),
        found.answers,
        any(one.passages >= stores.settings.window for one in found.answers),
    )


def _fused(
    by_words: Sequence[KeywordHit], by_meaning: Sequence[Hit], settings: SearchSettings
) -> list[RankedPassage]:
    passages = {hit.id: _of_words(hit, rank) for rank, hit in enumerate(by_words, start=1)}
    for rank, hit in enumerate(by_meaning, start=1):
        known = passages.get(hit.id) or _of_meaning(hit)
        passages[hit.id] = replace(known, semantic_rank=rank, similarity=hit.similarity)
    rankings = [
        # A passage that has one word of five is first where none has more: as good as its score.
        Ranks(
            [hit.id for hit in by_words], settings.keyword_weight, [hit.score for hit in by_words]
        ),
        Ranks([hit.id for hit in by_meaning], settings.semantic_weight),
    ]
    if not (by_words and by_meaning):
        # Weights are those of one beside the other.
        rankings = [Ranks(one.ids) for one in rankings if one.ids]
    scores = fusion.fused(rankings, settings.rank_constant)
    return [replace(passages[one], score=score) for one, score in scores.items()]


def _of_words(hit: KeywordHit, rank: int) -> RankedPassage:
    return RankedPassage(
        id=hit.id,
        media_file_id=hit.media_file_id,
        number=hit.number,
        start=hit.start,
        end=hit.end,
        keyword_rank=rank,
        text=hit.text,
        speakers=hit.speakers,
        marks=hit.marks,
        title_matched=hit.title_matched,
    )


def _of_meaning(hit: Hit) -> RankedPassage:
    place = place_of(hit)
    return RankedPassage(
        id=hit.id,
        media_file_id=place.media_file_id,
        number=int(str(hit.payload["number"])),
        start=place.start,
        end=place.end,
    )


def place_of(hit: Hit) -> Place:
    """Where a point's passage is, as its payload says."""
    start, end = (float(str(hit.payload[name])) for name in ("start", "end"))
    return Place(hit.id, uuid.UUID(str(hit.payload["media_file_id"])), start, end)


def text_of(lines: Sequence[SaidLine], place: Place | RankedPassage) -> str:
    """What is said in a place: of lines that go on beyond it only what is in it.

    A part of a line has the times that follow from where it stands in the line's text
    (pipelines.search.passages), so that where it stands follows from its times.
    """
    pieces: list[str] = []
    speaker: str | None = None
    for line in lines:
        seconds = (line.end - line.start) / len(line.text) if line.text else 0.0
        start, end = 0, len(line.text)
        if seconds:
            start = max(0, round((place.start - line.start) / seconds))
            end = min(end, round((place.end - line.start) / seconds))
        if piece := line.text[start:end].strip():
            blank = "\n" if pieces and line.speaker != speaker else " "
            pieces += (blank, piece) if pieces else (piece,)
            speaker = line.speaker
    return "".join(pieces)


async def _with_phrases(
    user_id: uuid.UUID,
    phrases: Sequence[str],
    hits: Sequence[Hit],
    known: Collection[uuid.UUID],
    stores: SearchStores,
) -> list[Hit]:
    """Those of these hits that have all phrases: the keyword store says so, or the rows do."""
    unsure = [place_of(hit) for hit in hits if hit.id not in known]
    async with session_scope(stores.sessions) as session:
        files = await found_files.rows(session, user_id, {one.media_file_id for one in unsure})
        said = await found_files.said(session, user_id, unsure)
    having = set(known)
    for place in unsure:
        called = files[place.media_file_id].called if place.media_file_id in files else ""
        texts = (text_of(said.get(place.id, ()), place), called)
        if all(any(marking.holds(text, phrase) for text in texts) for phrase in phrases):
            having.add(place.id)
    return [hit for hit in hits if hit.id in having]
