"""Takes a person out of what is kept as JSON: facts about speakers, answers, events."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

ERASED = "[erased]"
NOBODY = {
    "display_name": None,
    "profile_id": None,
    "name_source": None,
    "verified": False,
    "embedding": None,
    "embedding_model": None,
}
"""What facts about a speaker say when it is nobody any more."""


@dataclass(frozen=True)
class Person:
    """By what somebody is recognised."""

    names: Collection[str]
    """That they are called, and were."""
    ids: Collection[str]
    """Of the profile and what belongs to it."""
    voices: Collection[str] = field(default=frozenset())
    """Ids of speakers that are, or were, this person."""

    def facts(self, value: Any) -> Any:
        """Facts about speakers, however deep: those about this person say nobody.

        Other text stays as it is, also where somebody says the name.
        """
        if isinstance(value, list):
            return [self.facts(item) for item in value]
        if not isinstance(value, dict):
            return value
        inner = {
            # Changes of who is who are kept by the id of the speaker.
            key: _nobody(item) if key in self.voices else self.facts(item)
            for key, item in value.items()
        }
        return _nobody(inner) if self._is_meant(value) else inner

    def _is_meant(self, facts: dict[str, Any]) -> bool:
        name = facts.get("display_name")
        return (
            facts.get("profile_id") in self.ids
            or facts.get("id") in self.voices
            or (isinstance(name, str) and name.lower() in self._lower)
        )

    def words(self, value: Any) -> Any:
        """The same value without the names and ids, wherever they are in it."""
        if isinstance(value, list):
            return [self.words(item) for item in value]
        if isinstance(value, dict):
            return {self._without(key): self.words(item) for key, item in value.items()}
        if isinstance(value, str):
            return None if value in self.ids else self._without(value)
        return value

    def _without(self, text: str) -> str:
        return self._pattern.sub(ERASED, text)

    @cached_property
    def _lower(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.names)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Names as words of their own: "Al" is not in "Always"; and ids."""
        known = sorted([*self.names, *self.ids], key=len, reverse=True)
        said = "|".join(re.escape(one) for one in known)
        return re.compile(rf"(?<![0-9A-Za-z])(?:{said})(?![0-9A-Za-z])", re.IGNORECASE)


def _nobody(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, **{key: NOBODY[key] for key in facts.keys() & NOBODY.keys()}}
