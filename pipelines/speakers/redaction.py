"""Takes a person out of what is kept as JSON: facts about speakers, answers, events."""

import re
from collections.abc import Collection
from collections.abc import Set as AbstractSet
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
MACHINE_READ = re.compile(
    r".*_(?:id|ids|at)|status|(?:task_)?state|kind|action|stage|content_type|error_type"
    r"|name_source|type|level|lane"
)
"""Fields of answers and events that hold ids, times and words of a fixed set."""
UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class Person:
    """By what somebody is recognised."""

    names: Collection[str]
    """That they are called, and were."""
    ids: Collection[str]
    """Of the profile and what belongs to it."""
    voices: AbstractSet[str] = field(default=frozenset())
    """Ids of speakers that are this person: whoever they were taken for, nobody is named."""
    earlier: AbstractSet[str] = field(default=frozenset())
    """Ids of speakers that were this person once."""
    others: AbstractSet[str] = field(default=frozenset())
    """Ids of other people's profiles: what is said of them stays, also of a namesake."""

    @property
    def needles(self) -> list[str]:
        """What is looked for where they may be mentioned."""
        return [*self.names, *self.ids]

    def facts(self, value: Any, under: str | None = None) -> Any:
        """Facts about speakers, however deep: those about this person say nobody.

        Other text stays as it is, also where somebody says the name. `under`: its key.
        """
        if isinstance(value, list):
            return [self.facts(item) for item in value]
        if not isinstance(value, dict):
            return value
        inner = {
            # Changes of who is who are kept by the id of the speaker.
            key: self.facts(item, key)
            for key, item in value.items()
        }
        return _nobody(inner) if self._is_meant(value, {under, value.get("id")}) else inner

    def _is_meant(self, facts: dict[str, Any], speaker: Collection[str | None]) -> bool:
        profile, name = facts.get("profile_id"), facts.get("display_name")
        if profile in self.ids or not self.voices.isdisjoint(speaker):
            return True
        if profile in self.others:
            return False
        called = isinstance(name, str) and name.lower() in self._lower
        return called or not self.earlier.isdisjoint(speaker)

    def words(self, value: Any, under: str = "") -> Any:
        """The same value without the names and ids, wherever somebody would read them.

        Keys stay, and so does what machines read, where it is none of the ids. `under`: its key.
        """
        if isinstance(value, list):
            return [self.words(item, under) for item in value]
        if isinstance(value, dict):
            return {key: self.words(item, key) for key, item in value.items()}
        if not isinstance(value, str):
            return value
        if value in self.ids:
            return None
        return value if MACHINE_READ.fullmatch(under) else self._pattern.sub(self._without, value)

    def _without(self, found: re.Match[str]) -> str:
        """What is put where a name, one of the ids, or any other id was found."""
        is_other = found["uuid"] is not None and found["uuid"].lower() not in self.ids
        return found[0] if is_other else ERASED

    @cached_property
    def _lower(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.names)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Names as words of their own: "Al" is not in "Always", nor in "Al_2"; and ids.

        An id is found as a whole before a name is found in it: one group of it may read "Ebba".
        """
        known = sorted([*self.names, *self.ids], key=len, reverse=True)
        said = "|".join(re.escape(one) for one in known)
        return re.compile(
            rf"(?<![0-9A-Za-z_])(?:(?P<uuid>{UUID})|{said})(?![0-9A-Za-z_])", re.IGNORECASE
        )


def _nobody(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, **{key: NOBODY[key] for key in facts.keys() & NOBODY.keys()}}
