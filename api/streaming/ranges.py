"""HTTP ranges (RFC 9110 §14): which bytes of a file a request wants."""

import re

# Longer numbers are behind the end of any file, and cost more than they are worth.
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The range lies outside the file."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and length of the wanted bytes.

    None where the header is to be ignored and everything sent: another unit, bad syntax, or
    several ranges, which a server need not serve.

    Raises:
        Unsatisfiable: the range is well formed and starts behind the file's end.
    """
    match = RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = size - min(int(last), size), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or start > end:
        raise Unsatisfiable(header)
    return start, end - start + 1
