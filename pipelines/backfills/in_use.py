"""With what the installation does each stage now: what a backfill's fingerprint is made of."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cluster.settings import SearchSettings
from db.keywords.port import KeywordStore
from db.models import BackfillStage
from db.queries.backfill_files import InUse
from db.vectors.port import VectorStore
from pipelines.search.places import LIVE, keyword_place, passage_place
from pipelines.spaces import passage_space
from pipelines.stages.base import Models, fingerprint
from serving.ports import TextEmbedder

MATTERS: Mapping[BackfillStage, tuple[str, ...]] = {
    BackfillStage.retranscribe: ("whisper", "alignment", "diarization", "embedding"),
    BackfillStage.rediarize: ("diarization", "embedding"),
    BackfillStage.reembed: ("embedding",),
    BackfillStage.realign: ("alignment",),
    BackfillStage.reindex: ("keywords", "passages"),
    BackfillStage.resummarize: (),
    BackfillStage.bring_in: (),
}
"""What makes a result of each stage another one. A recording that is here stays here, and whose
language model summarises is the business of whose the file is."""


async def in_use(
    stage: BackfillStage,
    models: Models,
    keywords: KeywordStore,
    vectors: VectorStore,
    embedder: TextEmbedder,
    settings: SearchSettings,
) -> InUse:
    """As it is now.

    Raises:
        SpeechError: the stage needs the model of text embeddings, which does not answer.
    """
    words = meaning = None
    if stage is BackfillStage.reindex:
        found = await embedder.embed([])
        space = passage_space(found.model, found.vectors.shape[1])
        words = keyword_place(keywords, LIVE, settings)
        meaning = passage_place(vectors, space, settings)
    return InUse(
        whisper=models.whisper,
        diarization=models.diarization,
        alignment=models.alignment,
        embedding=models.embedding,
        keywords=words,
        passages=meaning,
    )


def fingerprint_of(stage: BackfillStage, used: InUse, options: Mapping[str, Any]) -> str:
    """What a result is known by: the same stage, models and options."""
    facts = asdict(used)
    return fingerprint(stage, {name: facts[name] for name in MATTERS[stage]}, dict(options))
