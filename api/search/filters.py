"""Query parameters of a search: what is typed, and what narrows it."""

import uuid
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator

from api.dependencies import App
from api.filters import MAX_VALUES, Measures, Name, Words
from api.periods import DAY, Moment, end, require_order, start
from api.text import prose
from db.keywords.port import PassageFilters

SPEAKERS = "Name or label of a speaker, in any letter case: one of them speaks in a passage"
TITLE = "A part of the title (else of the file name), in any letter case"


def refused(message: str) -> RequestValidationError:
    """The refusal of what was typed."""
    return RequestValidationError([{"loc": ("query", "q"), "msg": message, "type": "query"}])


def _said(text: str) -> str:
    if not text:
        raise ValueError("holds nothing but blanks")
    return text


Typed = Annotated[str, prose, AfterValidator(_said)]


def _text(
    services: App,
    q: Annotated[
        Typed,
        Query(
            min_length=1,
            description='Words, `"phrases"` and `speaker:name` or `speaker:"a name"`',
            examples=['"launch date" speaker:ada budget'],
        ),
    ],
) -> str:
    most = services.search.max_query_characters
    if len(q) > most:
        raise refused(f"has {len(q)} characters; at most {most} are looked for")
    return q


Text = Annotated[str, Depends(_text)]
"""What was typed, not too long."""


def _filters(
    measures: Measures,
    speakers: Annotated[
        list[Name] | None, Query(max_length=MAX_VALUES, description=SPEAKERS)
    ] = None,
    tags: Annotated[
        list[Name] | None,
        Query(max_length=MAX_VALUES, description="Name of a tag; of several, a file has all"),
    ] = None,
    collection_id: Annotated[
        uuid.UUID | None, Query(description="Only files of this collection of yours")
    ] = None,
    date_from: Annotated[
        Moment | None, Query(description=f"Taken in not before this day or moment; {DAY}")
    ] = None,
    date_to: Annotated[Moment | None, Query(description=f"Taken in not after it; {DAY}")] = None,
    title_filter: Annotated[Words | None, Query(description=TITLE)] = None,
) -> PassageFilters:
    least = None if date_from is None else start(date_from)
    before = None if date_to is None else end(date_to)
    require_order({("date_from", "date_to"): (least, before)})
    about = replace(
        measures,
        tags=tags or (),
        collection_id=collection_id,
        from_date=least,
        before_date=before,
    )
    return PassageFilters(**about.narrowing, speakers=speakers or (), title=title_filter)


Filters = Annotated[PassageFilters, Depends(_filters)]
"""Which passages are looked through."""
