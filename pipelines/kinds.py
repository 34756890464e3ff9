"""What each kind of task means: the work that its claim begins."""

from collections.abc import Awaitable, Callable, Mapping

from db.models import TaskKind
from pipelines.backfills.work import Backfilling
from pipelines.downloads.work import Work
from pipelines.job import Job
from pipelines.language.identification import Identification
from pipelines.language.summarization import Summarization
from pipelines.language.topic_extraction import TopicExtraction
from pipelines.realigning import Realigning
from pipelines.search.file_index import FileIndexing
from pipelines.search.rebuilding import Rebuilding
from pipelines.speakers.enrol import Enrolling
from pipelines.speakers.grouping import GroupingWork
from pipelines.speakers.reembed import Reembedding
from pipelines.transcription import Transcription

Begin = Callable[[Job], Awaitable[None]]


async def _download(job: Job) -> None:
    parts = job.parts
    preparer = parts.ports.preparer
    await Work(job.task, parts.downloads, parts.sessions, parts.objects, preparer).run()


async def _transcription(job: Job) -> None:
    await Transcription(job).run()


async def _voiceprints(job: Job) -> None:
    await Reembedding(job).run()


async def _enrolment(job: Job) -> None:
    await Enrolling(job).run()


async def _clustering(job: Job) -> None:
    parts = job.parts
    await GroupingWork(job.task, parts.sessions, parts.ports.clusterer, parts.voices).run()


async def _summarization(job: Job) -> None:
    await Summarization(job).run()


async def _speaker_identification(job: Job) -> None:
    await Identification(job).run()


async def _topic_extraction(job: Job) -> None:
    await TopicExtraction(job).run()


async def _search_index(job: Job) -> None:
    await Rebuilding(job).run()


async def _file_index(job: Job) -> None:
    await FileIndexing(job).run()


async def _alignment(job: Job) -> None:
    await Realigning(job).run()


async def _backfill(job: Job) -> None:
    await Backfilling(job).run()


WORK: Mapping[TaskKind, Begin] = {
    TaskKind.transcription: _transcription,
    TaskKind.download: _download,
    # A playlist is a download that turned out to be many.
    TaskKind.playlist: _download,
    TaskKind.voiceprints: _voiceprints,
    TaskKind.enrolment: _enrolment,
    TaskKind.clustering: _clustering,
    TaskKind.summarization: _summarization,
    TaskKind.speaker_identification: _speaker_identification,
    TaskKind.topic_extraction: _topic_extraction,
    TaskKind.search_index: _search_index,
    TaskKind.file_index: _file_index,
    TaskKind.alignment: _alignment,
    TaskKind.backfill: _backfill,
}
"""Every kind there is."""
