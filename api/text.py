"""Text that users send: what of it can be stored and shown without surprises.

Put a maximal length before these validators, since what they do takes time, and one behind them,
since a composed character can be longer: `Annotated[str, Field(max_length=50), one_line, …]`.
"""

import re
import unicodedata

from pydantic import AfterValidator

# PostgreSQL cannot store NUL; the other control characters break lists, logs and exports.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# A break ends the line; what turns the reading direction makes one name look like another.
NOT_IN_A_LINE = re.compile("[\t\n\r\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _checked(text: str, forbidden: re.Pattern[str]) -> str:
    if found := forbidden.search(text):
        raise ValueError(f"holds U+{ord(found[0]):04X}, which is not allowed here: leave it out")
    return text


def _prose(text: str) -> str:
    clean = unicodedata.normalize("NFC", _checked(text, CONTROL)).strip()
    if text and not clean:
        raise ValueError("holds nothing but blanks")
    return clean


def _one_line(text: str) -> str:
    return _checked(_prose(text), NOT_IN_A_LINE)


def _key(text: str) -> str:
    return _checked(_checked(text, CONTROL), NOT_IN_A_LINE)


prose = AfterValidator(_prose)
"""Lines of text in Unicode's composed form, without control characters or blanks around them."""
one_line = AfterValidator(_one_line)
"""The same in one line, for names: without what turns the reading direction."""
key = AfterValidator(_key)
"""One line that stays as it is, blanks and composition too: a key of an object store."""
