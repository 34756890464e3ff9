"""What a transcript says about itself: a recording of which a part is missing says so."""

import pytest
from sqlalchemy import select

from db.engine import session_scope
from db.models import Transcript
from tests.fixtures import media
from tests.fixtures.runner import accept, ended, running, until


async def notes_of(path, sessions, objects, parts) -> list[str]:
    task_id = await accept(sessions, objects, path, diarize=False)
    async with running(parts):
        await until(sessions, task_id, ended)
    async with session_scope(sessions) as session:
        return list(await session.scalar(select(Transcript.notes)))


@pytest.mark.parametrize(
    ("name", "arguments"), [("a.mp3", ()), ("a.mov", ("-movflags", "+faststart"))]
)
async def test_a_recording_cut_in_its_middle_says_so(
    sessions, objects, parts, tmp_path, name, arguments
):
    whole = media.tone(tmp_path / name, 20, *arguments).read_bytes()
    half = media.written(tmp_path / f"half-{name}", whole[: len(whole) // 2])

    [note] = [
        text for text in await notes_of(half, sessions, objects, parts) if "of the 20" in text
    ]

    assert "decoded" in note


async def test_a_whole_recording_says_nothing_of_the_kind(sessions, objects, parts, tmp_path):
    notes = await notes_of(media.tone(tmp_path / "a.mp3", 5), sessions, objects, parts)

    assert not [text for text in notes if "decoded" in text]
