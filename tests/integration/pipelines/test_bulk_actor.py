"""The actor of a backfill says what keeps it from starting, whatever that is."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from db.models import BackfillEngine, BackfillStage
from pipelines.backfills.bulk_actor import Inside
from pipelines.backfills.parts import Drive
from tests.fixtures.runner import MODELS

DRIVE = Drive(
    uuid.uuid4(), uuid.uuid4(), 1, BackfillStage.retranscribe, BackfillEngine.inprocess, 1
)


def test_one_that_cannot_start_raises_instead_of_waiting_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    # No error of ours: events are to be written below what is no folder.
    no_folder = tmp_path / "file"
    no_folder.write_text("")
    monkeypatch.setenv("RAYSCRIBE_LOG_DIR", str(no_folder / "logs"))
    inside = Inside(DRIVE, MODELS, 1)
    with ThreadPoolExecutor(1) as beside:
        work = beside.submit(inside.work_through, {"first": np.array([0]), "last": np.array([0])})
        try:
            with pytest.raises(OSError, match="file"):
                work.result(20)
        finally:
            inside.close()
            if not work.done():
                inside._loop.call_soon_threadsafe(inside._open.cancel)
