"""Deletes an account with all that belongs to it, in all stores."""

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from api.callers import Caller
from api.dependencies import Services
from api.users.service import hold_admins, require_other, write_down
from db.engine import session_scope
from db.errors import NotFound
from db.models import TaskKind, TaskState, User
from db.objects.keys import media_prefix, prefixes_of_user
from db.queries import refresh_tokens, tasks, users
from db.queries.audit import Action
from pipelines import leftovers, queue
from pipelines.backfills import items
from pipelines.search import notes as search_notes
from pipelines.speakers import notes
from pipelines.speakers.notes import About

FILES_AT_ONCE = 100
"""Files that one transaction deletes with their transcripts: it must end within the time-out."""


async def remove(services: Services, admin: User, user_id: uuid.UUID, caller: Caller) -> None:
    """Shut an account, cancel its tasks, delete its rows, then its objects.

    The account is shut first and goes last: whatever stops this half-way leaves one that nobody can
    use, and a repetition does the rest. A runner that works for it loses its task at the next
    write; what it stores until then goes with the note, which stays for that.

    Raises:
        ApiError: `conflict`, it is one's own; `forbidden`.
        NotFound: there is no such account.
    """
    async with session_scope(services.sessions) as session:
        await _shut(session, admin, user_id, caller)
    async with session_scope(services.sessions) as session:
        await _drop_work(session, user_id)
    deleted = FILES_AT_ONCE
    while deleted == FILES_AT_ONCE:
        async with session_scope(services.sessions) as session:
            deleted = await _drop_files(session, user_id)
    async with session_scope(services.sessions) as session:
        for prefix in prefixes_of_user(user_id):
            await leftovers.note(session, prefix)
        if (user := await users.locked(session, user_id)) is not None:
            details = {"email": user.email}
            write_down(session, Action.user_deleted, admin, user_id, caller, **details)
            await notes.note(session, About.user, user_id, user_id)
            await users.remove(session, user_id)
            await search_notes.note_user_gone(session, user_id)
    for prefix in prefixes_of_user(user_id):
        await leftovers.remove_now(services.sessions, services.objects, prefix, forget_it=False)


async def _shut(session: AsyncSession, admin: User, user_id: uuid.UUID, caller: Caller) -> None:
    await hold_admins(session, admin)
    user = await users.locked(session, user_id)
    if user is None:
        raise NotFound("user", str(user_id))
    require_other(admin, user)
    await users.change(session, user, {"is_active": False})
    await refresh_tokens.revoke_all(session, user_id)
    # Here already, since files are gone before the event of the deletion is written.
    write_down(session, Action.user_deactivated, admin, user_id, caller, reason="deletion")


async def _drop_work(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Cancel and delete tasks before anything else: runners lock theirs first, then the rest."""
    for task in await tasks.locked_active_of_user(session, user_id):
        if task.state is not TaskState.cancelling:
            await queue.cancel(session, task)
        if task.kind is TaskKind.backfill:
            # Nobody ends this task any more: what it has reserved would wait for ever.
            await items.let_go(session, task)
        await session.delete(task)


async def _drop_files(session: AsyncSession, user_id: uuid.UUID) -> int:
    """Delete some files; says how many. Nothing names their objects then, so these are noted."""
    gone = await users.locked_files(session, user_id, FILES_AT_ONCE)
    await notes.note_going(session, user_id, gone)
    await users.remove_files(session, gone)
    await search_notes.note_files(session, user_id, gone, spoken=True)
    for file_id in gone:
        await leftovers.note(session, media_prefix(user_id, file_id))
    return len(gone)
