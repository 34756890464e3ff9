"""How well search finds what is judged to answer: by words, by meaning, by both.

`python -m tests.bench retrieval`: real calls as rows, brought to PostgreSQL and pgvector as the
product does, asked through `pipelines.search` with the real text model (`make models`).

`python -m tests.bench retrieval --tune`: other sizes of passages, weights and thresholds, judged by
one half of the queries; `--misses` lists what is not found; `--pool` lists what was found first and
is not judged, for somebody to judge.
"""

import argparse
import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from pydantic import SecretStr

from cluster.settings import DatabaseSettings, SearchSettings, Settings
from db.engine import Sessions, create_engine, create_sessions, session_scope
from db.keywords.create import create_keyword_store
from db.keywords.port import KeywordHit, KeywordQuery
from db.models import FileStatus, MediaFile, Segment, Speaker, Transcript, User
from db.vectors.create import create_vector_store
from pipelines.language.base import Utterance
from pipelines.search import fusion
from pipelines.search.finding import rank
from pipelines.search.found import Asked, Mode, RankedPassage, SearchStores
from pipelines.search.fusion import Ranks
from pipelines.search.keeping import keep_file
from pipelines.search.keywords import KeywordKeeper
from pipelines.search.passages import Line, cut
from pipelines.search.places import LIVE
from pipelines.search.query import parse
from pipelines.search.vectors import PassageKeeper
from serving import assembly
from serving.arguments import speech_arguments
from serving.inprocess import InProcessTextEmbedder
from tests.bench import judged, library
from tests.bench.judged import ABSENT, Judged, Place, Scores
from tests.bench.tables import table

CUTS = ((100, 20), (150, 30), (200, 0), (200, 40), (200, 80), (300, 60))
"""Words of a passage, and of its overlap."""
CONSTANTS = (1, 5, 10, 20, 30, 60)
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Of meaning, where words have 1."""
SIMILARITIES = (0.2, 0.25, 0.3, 0.35)
POOL = 5
"""Of a ranking, so many places are looked at by people."""

Calls = Mapping[str, Sequence[Utterance]]


@dataclass(frozen=True)
class Collection:
    """Calls in both stores."""

    stores: SearchStores
    owner: uuid.UUID
    names: Mapping[uuid.UUID, str]
    """Of calls by file."""
    places: Sequence[Place]
    """All passages."""

    def place(self, passage: RankedPassage | KeywordHit) -> Place:
        return Place(self.names[passage.media_file_id], passage.start, passage.end)

    async def found(self, text: str, mode: Mode) -> Sequence[RankedPassage]:
        """What a query finds, best first."""
        ranking = await rank(Asked(user_id=self.owner, text=text, mode=mode), self.stores)
        for answer in ranking.answers:
            if answer.error is not None:
                raise answer.error
        return ranking.passages

    async def by_words(self, text: str) -> Sequence[KeywordHit]:
        """What the keyword store finds, with its scores."""
        settings = self.stores.settings
        read = parse(text, settings.max_query_words)
        wanted = KeywordQuery(read.words, read.phrases)
        return await self.stores.keywords.search(LIVE, self.owner, wanted, limit=settings.window)


def text_embedder() -> InProcessTextEmbedder:
    """The CPU default's, loaded."""
    arguments = speech_arguments(Settings(), 0)
    engine = assembly.text_embedder(arguments)
    engine.load()
    return InProcessTextEmbedder(engine, arguments.text_embedding_identity)


async def add_calls(sessions: Sessions, calls: Calls) -> tuple[uuid.UUID, dict[uuid.UUID, str]]:
    """Rows of a user's recordings; they are called by their numbers, which no query has."""
    async with session_scope(sessions) as session:
        user = User(email="bench@example.org", password_hash="-")
        session.add(user)
        await session.flush()
        names = {uuid.uuid5(uuid.NAMESPACE_OID, name): name for name in calls}
        for file_id, name in names.items():
            session.add(_file(user.id, file_id, name, calls[name]))
            await session.flush()
            session.add_all(_speaking(user.id, file_id, calls[name]))
            await session.flush()
            session.add_all(_segments(file_id, calls[name]))
        return user.id, names


def _file(
    user_id: uuid.UUID, file_id: uuid.UUID, name: str, said: Sequence[Utterance]
) -> MediaFile:
    return MediaFile(
        id=file_id,
        user_id=user_id,
        filename=f"{name}.mp3",
        content_type="audio/mpeg",
        size_bytes=1,
        sha256=file_id.hex,
        object_key=f"media/{file_id}",
        status=FileStatus.completed,
        duration=said[-1].end,
        language="en",
    )


def _speaking(
    user_id: uuid.UUID, file_id: uuid.UUID, said: Sequence[Utterance]
) -> list[Transcript | Speaker]:
    transcript = Transcript(
        id=file_id, media_file_id=file_id, language="en", task="transcribe", diarization="done"
    )
    labels = dict.fromkeys(one.speaker for one in said)
    speakers = [
        Speaker(id=_speaker(file_id, label), user_id=user_id, media_file_id=file_id, label=label)
        for label in labels
    ]
    return [transcript, *speakers]


def _speaker(file_id: uuid.UUID, label: str) -> uuid.UUID:
    return uuid.uuid5(file_id, label)


def _segments(file_id: uuid.UUID, said: Sequence[Utterance]) -> list[Segment]:
    return [
        Segment(
            id=uuid.uuid5(file_id, str(index)),
            transcript_id=file_id,
            index=index,
            start=round(one.start, 3),
            end=round(one.end, 3),
            text=one.text,
            speaker_id=_speaker(file_id, one.speaker),
            words=[],
        )
        for index, one in enumerate(said)
    ]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SearchStores]:
    """Both stores of a database."""
    settings = SearchSettings(qdrant_url=None, meili_url=None, query_seconds=60)
    engine = create_engine(DatabaseSettings(url=SecretStr(url)))
    sessions = create_sessions(engine)
    yield SearchStores(
        sessions=sessions,
        keywords=create_keyword_store(settings, sessions),
        vectors=create_vector_store(settings, sessions),
        embedder=text_embedder(),
        settings=settings,
    )
    await engine.dispose()


async def indexed(
    stores: SearchStores, owner: uuid.UUID, names: Mapping[uuid.UUID, str], calls: Calls
) -> Collection:
    """Bring the calls to both stores, cut as the settings say."""
    sessions, settings = stores.sessions, stores.settings
    keepers = (
        KeywordKeeper(sessions, stores.keywords, settings),
        PassageKeeper(sessions, stores.vectors, stores.embedder, settings),
    )
    for file_id in names:
        for keeper in keepers:
            await keep_file(keeper, file_id, owner)
    return Collection(stores, owner, names, list(_places(calls, settings)))


def _places(calls: Calls, settings: SearchSettings) -> list[Place]:
    return [
        Place(name, passage.start, passage.end)
        for name, said in calls.items()
        for passage in cut(
            [Line(one.start, one.end, one.text, one.speaker, None) for one in said],
            settings.passage_words,
            settings.passage_overlap_words,
        )
    ]


@dataclass(frozen=True)
class Heard:
    """What both stores found for a query, each by itself, and what was known of the calls."""

    judged: Judged
    everything: Sequence[Place]
    words: Sequence[KeywordHit]
    meaning: Sequence[RankedPassage]
    place: Mapping[uuid.UUID, Place]

    def scores(self, mode: Mode, settings: SearchSettings) -> Scores:
        """As `rank` puts them together."""
        meaning = [one for one in self.meaning if one.similarity >= settings.min_similarity]
        rankings = {
            Mode.keyword: [Ranks([one.id for one in self.words])],
            Mode.semantic: [Ranks([one.id for one in meaning])],
            Mode.hybrid: [
                Ranks(
                    [one.id for one in self.words],
                    settings.keyword_weight,
                    [one.score for one in self.words],
                ),
                Ranks([one.id for one in meaning], settings.semantic_weight),
            ],
        }[mode]
        found = fusion.fused(rankings, settings.rank_constant)
        return judged.scores([self.place[one] for one in found], self.judged, self.everything)


async def hear(collection: Collection, queries: Sequence[Judged]) -> list[Heard]:
    """Ask both stores everything once, so that their answers can be put together in many ways."""
    heard = []
    for one in queries:
        words = await collection.by_words(one.query)
        meaning = await collection.found(one.query, Mode.semantic)
        places = {found.id: collection.place(found) for found in words}
        places |= {found.id: collection.place(found) for found in meaning}
        heard.append(Heard(one, collection.places, words, meaning, places))
    return heard


def overall(heard: Sequence[Heard], mode: Mode, settings: SearchSettings) -> Scores:
    return judged.mean([one.scores(mode, settings) for one in heard])


async def evaluate(collection: Collection, queries: Sequence[Judged]) -> None:
    """Print the tables, of what `rank` itself answers."""
    answered = [one for one in queries if one.kind != ABSENT]
    scored: dict[Mode, dict[str, Scores]] = {mode: {} for mode in Mode}
    for mode in Mode:
        for one in answered:
            found = await collection.found(one.query, mode)
            ranking = [collection.place(passage) for passage in found]
            scored[mode][one.query] = judged.scores(ranking, one, collection.places)
    kinds = dict.fromkeys(one.kind for one in answered)
    _, held = judged.halves(answered)
    groups = {kind: [one for one in answered if one.kind == kind] for kind in kinds}
    groups |= {"all": answered, "the other half than `--tune` uses": held}
    rows = [
        [name, len(group), *_cells({mode: _mean(scored[mode], group) for mode in Mode})]
        for name, group in groups.items()
    ]
    header = "kind|queries|nDCG@10 keyword|semantic|hybrid|hybrid - best of them"
    header += "|recall@10 keyword|semantic|hybrid|first answers keyword|semantic|hybrid"
    print(table(header.split("|"), rows))
    await _absent(collection, [one for one in queries if one.kind == ABSENT])


def _mean(scored: Mapping[str, Scores], group: Sequence[Judged]) -> Scores:
    return judged.mean([scored[one.query] for one in group])


def _cells(means: Mapping[Mode, Scores]) -> list[str]:
    order = (Mode.keyword, Mode.semantic, Mode.hybrid)
    ndcg, recall, first = ([means[mode][column] for mode in order] for column in range(3))
    behind = ndcg[2] - max(ndcg)
    return [f"{value:.3f}" for value in (*ndcg, behind, *recall, *first)]


async def _absent(collection: Collection, queries: Sequence[Judged]) -> None:
    found = {
        mode: [len(await collection.found(one.query, mode)) for one in queries]
        for mode in (Mode.keyword, Mode.semantic)
    }
    print(
        f"\nof {len(collection.places)} passages, queries that no call is about find "
        + ", ".join(
            f"{sum(counts) / len(counts):.1f} ({mode}, at most {max(counts)})"
            for mode, counts in found.items()
        )
    )


async def tune(
    stores: SearchStores, owner: uuid.UUID, names: Mapping[uuid.UUID, str], calls: Calls
) -> None:
    """Print what each setting comes to, on the half that settings are tuned by."""
    answered = [one for one in judged.judged_queries() if one.kind != ABSENT]
    half, _ = judged.halves(answered)
    everything = replace(
        stores, settings=stores.settings.model_copy(update={"min_similarity": -1.0})
    )
    rows = []
    for words, overlap in CUTS:
        update = {"passage_words": words, "passage_overlap_words": overlap}
        chosen = replace(everything, settings=everything.settings.model_copy(update=update))
        collection = await indexed(chosen, owner, names, calls)
        heard = await hear(collection, half)
        means = [overall(heard, mode, stores.settings) for mode in Mode]
        rows.append([words, overlap, len(collection.places), *(f"{one.ndcg:.3f}" for one in means)])
        print(rows[-1], flush=True)
        if (words, overlap) == _cut_of(stores.settings):
            tune_fusion(heard, stores.settings)
    print(table(["words", "overlap", "passages", *Mode], rows))


def _cut_of(settings: SearchSettings) -> tuple[int, int]:
    return settings.passage_words, settings.passage_overlap_words


def tune_fusion(heard: Sequence[Heard], settings: SearchSettings) -> None:
    """Print the best of all constants, weights and thresholds, and each beside the settings."""
    tried = []
    for constant, weight, at_least in product(CONSTANTS, WEIGHTS, SIMILARITIES):
        update = {
            "rank_constant": constant,
            "keyword_weight": 1.0,
            "semantic_weight": weight,
            "min_similarity": at_least,
        }
        chosen = settings.model_copy(update=update)
        tried.append((constant, weight, at_least, *overall(heard, Mode.hybrid, chosen)))
    best = sorted(tried, key=lambda one: -one[3])
    header = "rank_constant|semantic_weight|min_similarity|nDCG@10|recall@10|first answers"
    rows = [[*one[:3], *(f"{value:.3f}" for value in one[3:])] for one in best[:12]]
    print(table(header.split("|"), rows))
    for column, values in enumerate((CONSTANTS, WEIGHTS, SIMILARITIES)):
        alone = {value: max(one[3] for one in tried if one[column] == value) for value in values}
        shown = ", ".join(f"{value:g}: {ndcg:.3f}" for value, ndcg in alone.items())
        print(f"best with {header.split('|')[column]} {shown}")


async def misses(collection: Collection, queries: Sequence[Judged]) -> None:
    """Print queries whose hybrid ranking is worse than that of a store."""
    for one in await hear(collection, queries):
        by_mode = {mode: one.scores(mode, collection.stores.settings) for mode in Mode}
        best = max(scores.ndcg for scores in by_mode.values())
        if by_mode[Mode.hybrid].ndcg < max(best - 0.02, 0.5):
            shown = ", ".join(f"{mode} {scores.ndcg:.2f}" for mode, scores in by_mode.items())
            print(f"{one.judged.kind}: {one.judged.query}: {shown}, words found {len(one.words)}")


async def pool(collection: Collection, queries: Sequence[Judged]) -> None:
    """Print what is found first and is not judged: place by place, for each query."""
    for one in queries:
        places: dict[Place, None] = {}
        for mode in Mode:
            for passage in (await collection.found(one.query, mode))[:POOL]:
                places[collection.place(passage)] = None
        unjudged = [
            place
            for place in places
            if not any(place.covers(answer.place) for answer in one.answers)
        ]
        shown = ", ".join(f"{call} {start:.0f}-{end:.0f}" for call, start, end in unjudged)
        print(f"{one.kind}: {one.query}: {shown}")


async def bench(url: str, asked: argparse.Namespace) -> None:
    """Fill, ask, print."""
    calls, queries = judged.calls(), judged.judged_queries()
    async with opened(url) as stores:
        owner, names = await add_calls(stores.sessions, calls)
        if asked.tune:
            await tune(stores, owner, names, calls)
            return
        collection = await indexed(stores, owner, names, calls)
        answered = [one for one in queries if one.kind != ABSENT]
        if asked.misses:
            await misses(collection, answered)
        elif asked.pool:
            await pool(collection, answered)
        else:
            await evaluate(collection, queries)


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser("retrieval")
    for name in ("tune", "misses", "pool"):
        parser.add_argument(f"--{name}", action="store_true")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, library.server(Path(folder) / "pg") as url:
        asyncio.run(bench(url, asked))
