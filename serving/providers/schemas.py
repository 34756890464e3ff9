"""JSON schemas as providers want them, and as words for those that take none."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from serving.language import ChatMessage, ChatRole


def strict(schema: Any) -> Any:
    """The schema with every property required, none beside them, and no defaults.

    OpenAI's strict mode wants it so, and small models leave out what they may leave out. What fits
    this fits the schema itself.
    """
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {name: _part(name, part) for name, part in schema.items() if name != "default"}
    if "properties" in made:
        made["required"] = list(made["properties"])
        made.setdefault("additionalProperties", False)
    reference = made.pop("$ref", None)
    if reference is None:
        return made
    # Nothing may stand beside a reference.
    return {**made, "anyOf": [{"$ref": reference}]} if made else {"$ref": reference}


def _part(name: str, part: Any) -> Any:
    if name in {"properties", "$defs", "definitions"}:
        # Here names are the user's: one may be called `default`.
        return {key: strict(value) for key, value in part.items()}
    if name in {"enum", "const", "examples", "required"}:
        return part
    return strict(part)


def is_open(schema: Any) -> bool:
    """Whether it has an object with properties of any name, which strict modes do not know."""
    if isinstance(schema, Mapping):
        open_here = schema.get("additionalProperties", False) is not False
        return open_here or any(map(is_open, schema.values()))
    return isinstance(schema, list) and any(map(is_open, schema))


def with_schema(
    messages: Sequence[ChatMessage], schema: Mapping[str, Any]
) -> tuple[ChatMessage, ...]:
    """The messages with the schema in words, for a provider that only promises some JSON."""
    words = "Answer with JSON only, and keep to this JSON schema:\n" + json.dumps(
        schema, ensure_ascii=False, separators=(",", ":")
    )
    first, *rest = messages
    if first.role is ChatRole.system:
        return (ChatMessage(ChatRole.system, f"{first.content}\n\n{words}"), *rest)
    return (ChatMessage(ChatRole.system, words), *messages)
