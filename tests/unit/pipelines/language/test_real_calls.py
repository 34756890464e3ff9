"""Real calls, hours long, with planted facts and tasks, come through whole at any context."""

import pytest

from db.models import ContentType
from pipelines.language.prompts import SYSTEM
from pipelines.language.summarize import summarize
from tests.fixtures.calls import strung_together
from tests.fixtures.language import Watched, engine_model, work_with
from tests.fixtures.planted import covered, planted


@pytest.mark.parametrize("context", [2048, 32768])
async def test_all_that_is_planted_in_three_hours_of_calls_comes_out_again(context):
    garden = planted(strung_together(hours=3.0), facts=12, tasks=8)
    model = Watched(engine_model(context))
    made = await summarize(garden.conversation, SYSTEM[ContentType.meeting], "en", work_with(model))
    found = covered(garden, made.content, made.sections)
    assert not found.missing
    assert (found.facts_in_place, found.tasks_in_place) == (12, 8)
    for answer, request in zip(model.answers, model.requests, strict=True):
        assert answer.usage.prompt_tokens + request.max_tokens <= context
