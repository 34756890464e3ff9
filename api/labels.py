"""Names of tags and collections, for every route that takes one."""

from typing import Annotated

from pydantic import Field

from api.text import one_line

TagName = Annotated[
    str,
    Field(min_length=1, max_length=50),
    one_line,
    Field(
        max_length=50,
        description="One line; blanks around it are dropped, and letter case makes no difference",
    ),
]
CollectionTitle = Annotated[
    str,
    Field(min_length=1, max_length=255),
    one_line,
    Field(max_length=255, description="One line; each of your collections has another one"),
]
