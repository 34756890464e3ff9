"""Query parameters that narrow a list of tasks."""

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query

from api.display import AgeCategory, age_bounds
from api.periods import DAY, Moment, end, require_order, start
from db.models import TaskKind, TaskState
from db.queries.tasks import TaskFilters


def _task_filters(
    state: Annotated[list[TaskState] | None, Query(description="In one of these states")] = None,
    kind: Annotated[list[TaskKind] | None, Query(description="Of one of these kinds")] = None,
    age: Annotated[
        AgeCategory | None, Query(description="As `age_category` tells it; days are those of UTC")
    ] = None,
    date_from: Annotated[
        Moment | None, Query(description=f"Asked for at this moment or later; {DAY}")
    ] = None,
    date_to: Annotated[
        Moment | None, Query(description=f"Asked for at this moment or before; {DAY}")
    ] = None,
    file_id: Annotated[uuid.UUID | None, Query(description="Only tasks of this file")] = None,
    parent_id: Annotated[
        uuid.UUID | None, Query(description="Only tasks of this batch (a playlist's)")
    ] = None,
) -> TaskFilters:
    dates = (start(date_from) if date_from else None, end(date_to) if date_to else None)
    require_order({("date_from", "date_to"): dates})
    return TaskFilters(
        states=state or (),
        kinds=kind or (),
        file_id=file_id,
        parent_id=parent_id,
        periods=[dates, *([age_bounds(age, datetime.now(UTC))] if age else [])],
    )


Filters = Annotated[TaskFilters, Depends(_task_filters)]
"""What tasks a list shows."""
