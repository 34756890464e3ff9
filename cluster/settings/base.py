"""What groups of settings have in common: the environment, the seed's names, units."""

from typing import Annotated

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
MIB = 1024 * 1024


class Group(BaseSettings):
    """A group of settings; variables of other programs are ignored."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        # What stands below a field describes it in docs/operations.md.
        use_attribute_docstrings=True,
    )


def seed(name: str) -> AliasChoices:
    """The seed's variable name; `RAYSCRIBE_<name>` is understood too."""
    return AliasChoices(name, f"RAYSCRIBE_{name}")


def words(listed: str) -> list[str]:
    """The values of a setting that has several, separated by commas."""
    return [word.strip() for word in listed.split(",") if word.strip()]
