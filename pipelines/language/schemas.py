"""JSON schemas of answers, as large as the room for an answer allows.

An engine that decodes along a schema then ends of itself: lists and texts have lengths that fit,
and a small model gets a small form instead of one that it cannot fill.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

SIZES = (8.0, 6.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.75, 0.5, 0.35, 0.25, 0.15)
"""Few sizes, so that many transcripts share a schema: an engine compiles each once."""
USUAL = 0.45
"""How full an answer usually is: not every list and every text is as long as it may be."""
LENGTHS = (10, 40, 120, 250, 500, 1000, 2000)
"""Characters that texts may have. An engine compiles each length for seconds (xgrammar 0.2 on a
CPU: 0.3 to 5), and lengths are what it remembers: so there are few, in all schemas the same."""
NUMBER_TOKENS = 3
ENGLISH = 3.2
"""Characters of a token, rather too few: names and figures have fewer than words."""
NARROWEST = 0.5


def text(characters: float) -> Schema:
    """A string of at most about so many characters: the nearest of `LENGTHS`."""
    longest = min(LENGTHS, key=lambda length: abs(length - characters))
    return {"type": "string", "maxLength": longest}


def needed(characters: float) -> Schema:
    """The same, and it says something."""
    return {**text(characters), "minLength": 1}


def clock_text() -> Schema:
    """A time, as lines show it."""
    return {"type": "string", "maxLength": 10}


def integer() -> Schema:
    """A whole number."""
    return {"type": "integer"}


def share() -> Schema:
    """A number from 0 to 1."""
    return {"type": "number", "minimum": 0, "maximum": 1}


def choice(values: Sequence[str]) -> Schema:
    """One of these."""
    return {"type": "string", "enum": list(values)}


def items(most: float, of: Schema) -> Schema:
    """A list of at most so many."""
    return {"type": "array", "items": of, "maxItems": max(1, round(most))}


def some(most: float, of: Schema) -> Schema:
    """The same, with one at least: small models take the empty list where there is one."""
    return {**items(most, of), "minItems": 1}


def record(**properties: Schema) -> Schema:
    """An object that has all of these, in this order, and nothing else."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def titled(name: str, schema: Schema) -> Schema:
    """The same with a name, which some providers want."""
    return {"title": name, **schema}


def fullest(schema: Mapping[str, Any], characters_per_token: float) -> float:
    """Tokens of the longest answer that a schema allows."""
    match schema["type"]:
        case "object":
            fields = schema["properties"].items()
            return 2 + sum(
                len(name) / 3 + 3 + fullest(of, characters_per_token) for name, of in fields
            )
        case "array":
            each = fullest(schema["items"], characters_per_token) + 1
            return float(2 + schema["maxItems"] * each)
        case "string" if "enum" in schema:
            return max(len(value) for value in schema["enum"]) / 3 + 2
        case "string":
            return float(2 + schema["maxLength"] / characters_per_token)
        case _:
            return NUMBER_TOKENS


def sized(
    make: Callable[[float, float], Schema], answer_tokens: int, characters_per_token: float
) -> Schema:
    """The largest form whose usual answer has room; the smallest where none has.

    Args:
        make: the form of a size, and of a width: how long texts are, 1 for English.
        answer_tokens: the room.
        characters_per_token: of what is written. Dense scripts have few, and need few characters
            to say the same: their texts are shorter.
    """
    width = max(NARROWEST, min(1.0, round(characters_per_token / ENGLISH, 1)))
    for size in SIZES:
        schema = make(size, width)
        if USUAL * fullest(schema, characters_per_token) <= answer_tokens:
            return schema
    return make(SIZES[-1], width)
