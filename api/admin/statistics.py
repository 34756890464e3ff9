"""The installation in figures: what the database, the speech service and this node say."""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import psutil
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.statistics_schemas import (
    Amount,
    DiskFacts,
    FileStats,
    ModelInUse,
    RecentTask,
    SystemFacts,
    TaskStats,
    UserStats,
)
from api.dependencies import Services
from db.models import Segment, Speaker, TaskState, Transcript
from db.queries import oversight, tasks
from serving.errors import SpeechError

NEW = timedelta(days=7)
RECENT = 10
AVERAGED = 1000

log = structlog.get_logger(__name__)


async def user_stats(session: AsyncSession) -> UserStats:
    """Accounts."""
    return UserStats.model_validate(await oversight.user_totals(session, NEW))


async def file_stats(session: AsyncSession) -> FileStats:
    """Files are counted; of segments and speakers there may be too many for that."""
    totals = await oversight.file_totals(session, NEW)
    segments = await oversight.amount(session, Segment)
    speakers = await oversight.amount(session, Speaker)
    transcripts = await oversight.amount(session, Transcript)
    average = round(speakers.value / transcripts.value, 2) if transcripts.value else None
    return FileStats(
        total=totals.total,
        new=totals.new,
        total_duration=totals.duration,
        total_size_bytes=totals.size_bytes,
        by_status=totals.by_status,
        segments=Amount.model_validate(segments),
        speakers=Amount.model_validate(speakers),
        average_speakers=average,
    )


async def task_stats(session: AsyncSession) -> TaskStats:
    """Tasks."""
    counted = await tasks.count_by_state(session)
    completed, failed = (counted.get(s, 0) for s in (TaskState.completed, TaskState.failed))
    return TaskStats(
        total=sum(counted.values()),
        by_state={state: counted.get(state, 0) for state in TaskState},
        success_rate=completed / (completed + failed) if completed + failed else None,
        average_seconds=await oversight.processing_seconds(session, AVERAGED),
        recent=[
            RecentTask.model_validate(task)
            for task in await oversight.recent_tasks(session, RECENT)
        ],
    )


async def models_in_use(services: Services) -> Mapping[str, ModelInUse]:
    """What the speech deployments say that they run; none of it while they are away."""
    try:
        answers = await services.health()
    except SpeechError as error:
        # The figures are worth having without it; `/health` says that it is down.
        log.warning("speech service does not answer", error=str(error))
        return {}
    return {
        name: ModelInUse(status=answer["status"], model=answer.get("stats", {}).get("model"))
        for name, answer in answers.items()
    }


async def system_facts(version: str, data_dir: Path) -> SystemFacts:
    """This replica's node."""
    return await asyncio.to_thread(_system_facts, version, data_dir)


def _system_facts(version: str, data_dir: Path) -> SystemFacts:
    memory = psutil.virtual_memory()
    return SystemFacts(
        version=version,
        uptime_seconds=round(time.time() - psutil.Process().create_time(), 1),
        cpus=psutil.cpu_count() or 1,
        load=psutil.getloadavg(),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        disk=_disk(data_dir),
    )


def _disk(data_dir: Path) -> DiskFacts:
    path = data_dir.resolve()
    # The data directory may be on another node.
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    usage = psutil.disk_usage(str(there))
    return DiskFacts(path=str(there), total_bytes=usage.total, free_bytes=usage.free)
