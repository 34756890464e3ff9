"""Periods and other ranges in query parameters."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

DAY_FORMAT = re.compile(r"\d{4}-\d\d-\d\d$")
YEARS = range(1970, 3000)
"""Of dates; others overflow somewhere on the way."""


def _day(value: object) -> object:
    # Midnight is a moment too: a day is what has no time of the day.
    if isinstance(value, str) and not DAY_FORMAT.match(value):
        raise ValueError("is no day as YYYY-MM-DD")
    return value


def _in_range(moment: date) -> date:
    if moment.year not in YEARS:
        raise ValueError(f"the year must be in {YEARS[0]}..{YEARS[-1]}")
    return moment


# Which of the two it is decides what the end of a range means.
Moment = Annotated[Annotated[date, BeforeValidator(_day)] | datetime, AfterValidator(_in_range)]
AwareMoment = Annotated[AwareDatetime, AfterValidator(_in_range)]

DAY = "a day is the whole of it, and a moment without an offset is UTC's"


def start(moment: date) -> datetime:
    """When a period begins."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time(), UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def end(moment: date) -> datetime:
    """When a period is over: the first moment that is not in it."""
    if not isinstance(moment, datetime):
        return start(moment) + timedelta(days=1)
    # A moment is in the range itself, and microseconds are what the database keeps.
    return start(moment) + timedelta(microseconds=1)


def _is_empty(least: Any, most: Any) -> bool:
    return bool(least >= most if isinstance(most, datetime) else least > most)


def require_order(bounds: Mapping[tuple[str, str], tuple[Any, Any]]) -> None:
    """Refuse ranges that nothing lies in; moments have an `end`, which is not in the range."""
    wrong = [
        {
            "loc": ("query", low),
            "msg": f"{low} lies above {high}: nothing could be found",
            "type": "range_upside_down",
        }
        for (low, high), (least, most) in bounds.items()
        if least is not None and most is not None and _is_empty(least, most)
    ]
    if wrong:
        raise RequestValidationError(wrong)


class Span(NamedTuple):
    """From a moment on and before another; None: since ever, until now."""

    date_from: datetime | None
    date_to: datetime | None


def _span(
    date_from: Annotated[
        AwareMoment | None, Query(alias="from", description="From this moment on")
    ] = None,
    date_to: Annotated[
        AwareMoment | None, Query(alias="to", description="Before this moment")
    ] = None,
) -> Span:
    require_order({("from", "to"): (date_from, date_to)})
    return Span(date_from, date_to)


AskedSpan = Annotated[Span, Depends(_span)]
"""`from` and `to` of a query."""
