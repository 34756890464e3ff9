"""One attempt at a summary: reads the transcript, has it summarised, stores the next version."""

import uuid
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.errors import NotFound
from db.models import ContentType
from db.queries import summaries
from pipelines.errors import TaskFailed
from pipelines.job import Job
from pipelines.language import attempts, prompts, wishes
from pipelines.language.attempts import Spent
from pipelines.language.conversations import Read
from pipelines.language.prompts import Prompt
from pipelines.language.storing import storable
from pipelines.language.summarize import SHARE, MadeSummary, summarize
from serving.language import LlmConnection

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made of which transcript."""

    read: Read
    prompt: Prompt
    language: str


@dataclass(frozen=True, slots=True)
class Summarization:
    """A claimed summary."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that stores the summary.

        A transcript that is edited meanwhile leaves a summary that is stale, not none.

        Raises:
            TaskFailed: no model is set up any more, nothing is said, or the prompt is gone.
            SpeechError: the model failed; the sections that were done are kept.
            FenceLost: somebody else has the task.
        """
        sessions = self.job.parts.sessions
        async with session_scope(sessions) as session:
            order = await self._order(session)
        connection = await attempts.connection(self.job)
        spent = Spent(connection)
        async with attempts.at_work(self.job, connection, SHARE) as work:
            made = await summarize(order.read.conversation, order.prompt, order.language, work)
        spent.stop(made.usage)
        async with session_scope(sessions) as session:
            await self._store(session, order, connection, made, spent)
        log.info("summary stored", sections=len(made.sections), **spent.told)

    async def _order(self, session: AsyncSession) -> Order:
        task = self.job.task
        read = await attempts.read(session, task)
        asked = task.options.get("language")
        language = asked or (await wishes.load(session, task.user_id)).language or read.language
        return Order(read, await self._prompt(session), str(language))

    async def _prompt(self, session: AsyncSession) -> Prompt:
        options = self.job.task.options
        prompt_id, content_type = options.get("prompt_id"), options.get("content_type")
        try:
            return await prompts.chosen(
                session,
                self.job.task.user_id,
                uuid.UUID(prompt_id) if prompt_id else None,
                ContentType(content_type) if content_type else None,
            )
        except NotFound as error:
            raise TaskFailed("not_found", "The prompt has been deleted.") from error

    async def _store(
        self,
        session: AsyncSession,
        order: Order,
        connection: LlmConnection,
        made: MadeSummary,
        spent: Spent,
    ) -> None:
        task = await attempts.begin_to_store(session, self.job)
        summary = await summaries.add(
            session,
            task.user_id,
            order.read.file_id,
            storable(made.content.searchable).splitlines(),
            _columns(order, connection, made, spent),
        )
        result = {
            "summary_id": str(summary.id),
            "version": summary.version,
            "transcript_version": order.read.version,
            "sections": len(made.sections),
            "method": made.method,
        }
        await attempts.complete(session, task, spent, result)


def _columns(
    order: Order, connection: LlmConnection, made: MadeSummary, spent: Spent
) -> dict[str, Any]:
    return {
        "transcript_version": order.read.version,
        "provider": connection.provider,
        "model": connection.model,
        "prompt_id": order.prompt.id,
        "prompt_name": order.prompt.name,
        "language": order.language,
        "content": storable(made.content.model_dump(mode="json")),
        "sections": storable([section.model_dump(mode="json") for section in made.sections]),
        "action_items": len(made.content.action_items),
        "prompt_tokens": spent.usage.prompt_tokens,
        "completion_tokens": spent.usage.completion_tokens,
        "calls": spent.usage.calls,
        "seconds": spent.seconds,
    }
