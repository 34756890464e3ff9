"""What follows a transcription by itself: suggested names, a summary, suggested tags."""

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import LanguageSettings
from db.models import Speaker, Task, TaskKind
from pipelines.language import configurations, tasks, wishes


async def after(session: AsyncSession, transcription: Task, settings: LanguageSettings) -> None:
    """Queue what the user wants done with a transcript that this transaction publishes.

    Nothing, where no language model is set up. Whether the one that is can be reached is seen when
    the tasks run: then they fail, and the transcript stays. Tells clients: call it last.
    """
    wanted = (await wishes.load(session, transcription.user_id)).kinds
    if not wanted:
        return
    if await configurations.find(session, transcription.user_id, settings) is None:
        return
    for kind in wanted:
        if kind is not TaskKind.speaker_identification or await _somebody_unnamed(
            session, transcription
        ):
            await tasks.follow(session, transcription, kind)


async def _somebody_unnamed(session: AsyncSession, transcription: Task) -> bool:
    """Whether one of the file's speakers has no name."""
    found = exists().where(
        Speaker.media_file_id == transcription.media_file_id, Speaker.display_name.is_(None)
    )
    return bool(await session.scalar(select(found)))
