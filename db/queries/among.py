"""Many ids in one statement."""

import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, UUID, any_, literal


def one_of(ids: Collection[uuid.UUID | None]) -> Any:
    """What a column is compared with (`==`) that is one of these ids, in one parameter.

    Not a parameter for each, as `in_` makes: PostgreSQL's protocol has no more than 32,767, and
    somebody who speaks everywhere has more voices.
    """
    return any_(literal(list(ids), ARRAY(UUID)))
