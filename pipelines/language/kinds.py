"""Which tasks are a language model's work, and under which names their results are kept."""

from collections.abc import Mapping

from db.models import TaskKind
from db.queries.tasks import LANGUAGE

KINDS = LANGUAGE
"""Tasks that wait for a language model, and for no model of speech."""

STAGE: Mapping[TaskKind, str] = {
    TaskKind.summarization: "summarize",
    TaskKind.speaker_identification: "identify",
    TaskKind.topic_extraction: "topics",
}
"""Of each kind, the stage whose checkpoints it keeps until it is done."""
