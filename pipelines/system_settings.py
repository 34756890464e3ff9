"""The sections of settings that administrators change while the service runs, read at use."""

from datetime import time
from functools import cache
from typing import Annotated, ClassVar, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import system_settings

MAX_DAYS = 3650


class Section(BaseModel):
    """Values of one section; every one has a default."""

    section: ClassVar[str]

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("no time zone of the IANA database, such as UTC or Europe/Berlin")
    return name


class RetrySettings(Section):
    """How often tasks are tried."""

    section = "retry"

    enabled: bool = True
    """Whether a task whose attempt failed for a passing reason is tried again by itself. One whose
    runner died is taken over in any case."""
    max_attempts: Annotated[int, Field(ge=1, le=10)] | None = None
    """After so many attempts a task has failed; null: `RAYSCRIBE_RUNNER_MAX_ATTEMPTS`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"enabled": True, "max_attempts": 5}]}
    )


class RetentionSettings(Section):
    """Which files are deleted by themselves, and when."""

    section = "retention"

    enabled: bool = False
    """Whether files are deleted every day; a run by hand does not ask for it."""
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 90
    """Completed files that came in longer ago than this go."""
    delete_failed: bool = False
    """Whether failed and cancelled files of that age go too."""
    run_at: Annotated[
        str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["02:00"])
    ] = "02:00"
    """Time of the daily run, in the time zone below."""
    timezone: Annotated[
        str, Field(max_length=64, examples=["Europe/Berlin"]), AfterValidator(_known_zone)
    ] = "UTC"
    """Time zone of the IANA database."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "enabled": True,
                    "days": 90,
                    "delete_failed": False,
                    "run_at": "02:00",
                    "timezone": "Europe/Berlin",
                }
            ]
        }
    )

    @property
    def time(self) -> time:
        """`run_at` as a time of that zone."""
        return time.fromisoformat(self.run_at).replace(tzinfo=ZoneInfo(self.timezone))


class AuditSettings(Section):
    """How long the audit log is kept."""

    section = "audit"

    # Not so short that who did something could make it vanish before anybody looks.
    retention_days: Annotated[int, Field(ge=30, le=MAX_DAYS)] = 365
    """Events older than this are dropped."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"retention_days": 365}]})


SECTIONS: tuple[type[Section], ...] = (RetrySettings, RetentionSettings, AuditSettings)

S = TypeVar("S", bound=Section)


async def current(session: AsyncSession, section: type[S]) -> S:
    """A section as it is in force now."""
    return parsed(section, await system_settings.values(session, section.section))


def parsed(section: type[S], stored: dict[str, object]) -> S:
    """A section from what is stored; a field that this version does not know is passed over."""
    return section.model_validate(stored, extra="ignore")
