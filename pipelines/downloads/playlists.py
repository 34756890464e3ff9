"""A playlist becomes downloads of its own, one for each entry; the task that found it is over then.

Entries stand for themselves: each is waited for, fetched, fails or is cancelled like any other.
"""

from collections.abc import Sequence

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import DownloadSettings
from db.models import Task, TaskKind
from db.queries import downloads
from pipelines import queue, task_state
from pipelines.downloads.admission import room_today
from pipelines.downloads.found import URL_CHARACTERS, Entry, Playlist
from pipelines.downloads.links import canonical
from pipelines.downloads.orders import Order
from pipelines.queue import Claim


async def begin_entries(
    session: AsyncSession, held: Claim, playlist: Playlist, settings: DownloadSettings
) -> None:
    """Queue what the user does not have yet and may still ask for, and complete the playlist.

    Raises:
        FenceLost: somebody else has the task.
        IllegalTransition: it is being cancelled.
    """
    task = await queue.held_task(session, held)
    step = task_state.on_success(task)
    await downloads.lock(session, task.user_id)
    known = by_address(playlist.entries)
    new = await _not_there_yet(session, task, known)
    begun = new[: await room_today(session, task.user_id, settings)]
    order = Order.of(task.options)
    for place, (url, entry) in enumerate(begun):
        await queue.submit(
            session,
            user_id=task.user_id,
            media_file_id=None,
            kind=TaskKind.download,
            lane=task.lane,
            options=order.for_entry(url, entry.title).stored(),
            parent_id=task.id,
            delay_seconds=place * settings.playlist_stagger_seconds,
        )
    result = {
        "title": playlist.title,
        "begun": len(begun),
        "there_already": len(known) - len(new),
        "over_quota": len(new) - len(begun),
        "complete": playlist.complete,
    }
    await queue.complete(session, task, step, kind=TaskKind.playlist, result=result)


def by_address(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Each address once, in order; what is no address of the web, or too long, is left out."""
    found: dict[str, Entry] = {}
    for entry in entries:
        try:
            url = canonical(entry.url)
        except (httpx.InvalidURL, UnicodeError):
            continue
        # Spelled in ASCII an address grows, and a file's row has room for so much.
        if url.startswith(("http://", "https://")) and len(url) <= URL_CHARACTERS:
            found.setdefault(url, entry)
    return found


async def _not_there_yet(
    session: AsyncSession, task: Task, known: dict[str, Entry]
) -> list[tuple[str, Entry]]:
    have = await downloads.files_from(session, task.user_id, known)
    fetching = await downloads.active_from(session, task.user_id, known)
    return [(url, entry) for url, entry in known.items() if url not in {*have, *fetching}]
