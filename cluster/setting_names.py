"""Which environment variables are settings, and which of them a running installation can change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from cluster.settings import (
    ApiSettings,
    DatabaseSettings,
    Group,
    LanguageSettings,
    LogSettings,
    ObjectSettings,
    PathSettings,
    RaySettings,
    SpeechSettings,
)
from cluster.settings_docs import variables

OF_THE_START = (PathSettings, DatabaseSettings, ObjectSettings, RaySettings, LogSettings)
"""Groups by which servers and Ray itself were started, and all files were laid out."""
AT_THE_START = {
    (ApiSettings, "host"),
    (ApiSettings, "port"),
    (ApiSettings, "every_node"),
    (LanguageSettings, "local"),
    (SpeechSettings, "profile"),
}
"""Other settings of that kind."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a group."""

    group: type[Group]
    name: str
    field: FieldInfo

    @property
    def is_secret(self) -> bool:
        """Whether its value must not be shown: Ray's dashboard shows what replicas are given."""
        return "SecretStr" in str(self.field.annotation)

    @property
    def is_of_the_start(self) -> bool:
        """Whether only a start from nothing can change it."""
        return self.group in OF_THE_START or (self.group, self.name) in AT_THE_START

    @property
    def is_of_models(self) -> bool:
        """Whether results differ with it: no runner may work while replicas have both values."""
        return self.group is SpeechSettings


def by_variable() -> dict[str, Setting]:
    """Every setting, by each of its variables."""
    return dict(_all())


def _all() -> Iterator[tuple[str, Setting]]:
    for group in Group.__subclasses__():
        for name, field in group.model_fields.items():
            for variable in variables(group, name, field):
                yield variable, Setting(group, name, field)


def set_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings among the variables of an environment."""
    return {name: environment[name] for name in by_variable() if name in environment}
