"""What `rayscribe backfill` asks the API for, and what it shows."""

import io
import re
from datetime import datetime

import pytest
from pydantic import ValidationError
from rich.console import Console
from typer.testing import CliRunner

from api.backfills.schemas import BackfillRequest, PlanOut
from api.schemas import example
from db.models import BackfillEngine, BackfillStage
from rayscribe import backfill, screen
from rayscribe.__main__ import app
from rayscribe.context import console

OWNER = "7f9c3f0e-5d0f-4a3e-9c1b-2f6d0f8f3a11"
OTHERS = {
    "everything": False,
    "edited": True,
    "prefix": None,
    "manifest": None,
    "import_owner": None,
}


def test_every_command_is_there():
    shown = CliRunner().invoke(app, ["backfill", "--help"]).output
    for command in ("plan", "run", "resume", "cancel", "list", "report"):
        assert command in shown


def test_a_stage_that_there_is_not_is_refused():
    assert CliRunner().invoke(app, ["backfill", "plan", "re-everything"]).exit_code == 2


@pytest.mark.parametrize("stage", sorted({*BackfillStage} - {BackfillStage.bring_in}))
def test_what_is_asked_for_is_what_the_api_takes(stage):
    since = datetime(2030, 1, 31)  # noqa: DTZ001 - as typer reads it
    selection = backfill._selection(None, None, None, ["de"], since, None, **OTHERS)
    limits = backfill._limits(2.5, None, 600.0, 3)
    body = backfill._body(stage, BackfillEngine.online, selection, None, limits)
    order = BackfillRequest.model_validate(body).order()
    assert order.stage is stage
    assert order.selection.languages == ["de"]
    assert order.selection.created_from.isoformat() == "2030-01-31T00:00:00+00:00"
    assert order.selection.edited
    assert (order.limits.audio_seconds, order.limits.actors) == (9000.0, 3)


def test_an_import_is_what_the_api_takes():
    others = {**OTHERS, "edited": False, "prefix": "import/talks/", "import_owner": OWNER}
    selection = backfill._selection(None, [], None, None, None, None, **others)
    assert selection == {"prefix": "import/talks/", "import_owner_id": OWNER}
    body = backfill._body(BackfillStage.bring_in, BackfillEngine.inprocess, selection, "de", {})
    assert BackfillRequest.model_validate(body).order().options == {"language": "de"}


def test_zeros_are_sent_and_so_refused():
    limits = backfill._limits(0.0, 0.0, 0.0, 0)
    assert set(limits.values()) == {0}
    for name, value in limits.items():
        with pytest.raises(ValidationError, match=name):
            BackfillRequest.model_validate({"stage": "re-align", "limits": {name: value}})


@pytest.mark.parametrize(
    ("cut_by", "option"),
    [("audio_hours", "--max-hours"), ("model_seconds", "--max-model-seconds")],
)
def test_a_plan_is_shown(cut_by: str, option: str):
    plan = {**example(PlanOut), "cut_by": cut_by, "seconds": 90.0}
    with console.capture() as shown:
        backfill._show_plan(plan)
    said = shown.get()
    for words in ("1200 of 14 users", "830.50 h", "14.20 EUR", "measured here", "1.5 min", option):
        assert words in said
    # No moment is known to the microsecond.
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d *$", said, re.MULTILINE)


@pytest.mark.parametrize("column", sorted(screen.OF_IDS))
def test_ids_stay_whole_on_a_narrow_terminal(column: str):
    shown = screen.table(column, "what", "why")
    shown.add_row(OWNER, "many words " * 8, "more words " * 8)
    said = io.StringIO()
    Console(width=80, file=said).print(shown)
    assert OWNER in said.getvalue()
