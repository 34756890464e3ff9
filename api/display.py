"""How facts about files and tasks read to people: durations, sizes, dates, ages, states.

The seed's data formatting service, in one place: pure functions, and the computed fields that
answers about files and tasks inherit. Moments are UTC; nothing depends on the server's locale.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, computed_field

from db.models import FileStatus, TaskState
from pipelines.speakers.suggestions import SpeakerStatus

SIZE_UNITS = ("kB", "MB", "GB", "TB", "PB")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
AGE_UNITS = (
    ("year", 365 * 86_400),
    ("month", 30 * 86_400),
    ("week", 7 * 86_400),
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
)


SPEAKER_COLORS = {
    SpeakerStatus.verified: "#10b981",
    SpeakerStatus.suggested: "#f59e0b",
    SpeakerStatus.unverified: "#6b7280",
}
"""Green, amber, grey: colours by how far it is known who a speaker is."""


class AgeCategory(StrEnum):
    """How long ago something began; each is told apart from the others. Days are UTC's."""

    today = "today"
    week = "week"
    month = "month"
    older = "older"


DAYS_BACK = {AgeCategory.today: 0, AgeCategory.week: 7, AgeCategory.month: 30}
"""How many days before the last midnight a category begins; it ends where the one before begins."""


def duration(seconds: float | None) -> str | None:
    """Seconds as `m:ss` or `h:mm:ss`, rounded; None: unknown."""
    if seconds is None:
        return None
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def file_size(size_bytes: int) -> str:
    """Bytes in decimal units with one digit behind the point: `18.3 MB`."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size, power = size_bytes / 1000, 0
    # What would be rounded to 1000.0 belongs to the next unit.
    while size >= 999.95 and power + 1 < len(SIZE_UNITS):
        size, power = size / 1000, power + 1
    return f"{size:.1f} {SIZE_UNITS[power]}"


def date(moment: datetime) -> str:
    """The day of a moment: `Jan 31, 2030`."""
    utc = moment.astimezone(UTC)
    return f"{MONTHS[utc.month - 1]} {utc.day}, {utc.year}"


def age(moment: datetime, now: datetime) -> str:
    """How long ago a moment was, in its largest unit: `3 days ago`."""
    seconds = int((now - moment).total_seconds())
    for unit, length in AGE_UNITS:
        count = seconds // length
        if count >= 1:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    # Also where the clocks of two machines differ a little.
    return "just now"


def age_bounds(category: AgeCategory, now: datetime) -> tuple[datetime | None, datetime | None]:
    """From when (inclusive) until when (exclusive) a category reaches; None: without an end."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [midnight - timedelta(days=days) for days in DAYS_BACK.values()]
    place = list(AgeCategory).index(category)
    return [*starts, None][place], [None, *starts][place]


def age_category(moment: datetime, now: datetime) -> AgeCategory:
    """The category of a moment; one that is still to come is of today."""
    for category in DAYS_BACK:
        start, _ = age_bounds(category, now)
        if start is not None and moment >= start:
            return category
    return AgeCategory.older


def state(value: FileStatus | TaskState) -> str:
    """A status or state as a word for people."""
    return value.value.capitalize()


def speaker_color(status: SpeakerStatus) -> str:
    """The colour that shows how far it is known who a speaker is."""
    return SPEAKER_COLORS[status]


def badge_class(status: FileStatus) -> str:
    """The style class of a status badge."""
    return f"status-{status.value}"


class FileDisplay(BaseModel):
    """What of a file is also told in words, and these words."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: FileStatus
    """Follows from the file's latest task."""
    duration: float | None
    """Seconds; null: not known yet."""
    size_bytes: int
    """Bytes of the media file."""
    created_at: datetime
    """When it was taken in."""

    @computed_field(description="`duration` as `m:ss` or `h:mm:ss`; null: not known yet")
    def formatted_duration(self) -> str | None:
        """The duration for people."""
        return duration(self.duration)

    @computed_field(description="`size_bytes` in decimal units")
    def formatted_file_size(self) -> str:
        """The size for people."""
        return file_size(self.size_bytes)

    @computed_field(description="The day of `created_at`, in UTC")
    def formatted_upload_date(self) -> str:
        """The date for people."""
        return date(self.created_at)

    @computed_field(description="How long ago `created_at` was when this was answered")
    def formatted_file_age(self) -> str:
        """The age for people."""
        return age(self.created_at, datetime.now(UTC))

    @computed_field(description="`status` as a word for people")
    def display_status(self) -> str:
        """The status for people."""
        return state(self.status)

    @computed_field(description="A style class for the badge that shows `status`")
    def status_badge_class(self) -> str:
        """The badge's class."""
        return badge_class(self.status)


class TaskDisplay(BaseModel):
    """What of a task is also told in words, and these words."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    state: TaskState
    """Where it stands."""
    created_at: datetime
    """When it was asked for."""
    started_at: datetime | None
    """When a runner first took it; null: none has yet."""
    finished_at: datetime | None
    """When it came to its end; null: not yet."""

    @computed_field(
        description="How long it has been worked on, until its end or until now, as `m:ss` or "
        "`h:mm:ss`; null: it was never begun"
    )
    def formatted_duration(self) -> str | None:
        """The time it took, for people."""
        if self.started_at is None:
            return None
        end = self.finished_at or datetime.now(UTC)
        return duration(max(0.0, (end - self.started_at).total_seconds()))

    @computed_field(description="`state` as a word for people")
    def status_display(self) -> str:
        """The state for people."""
        return state(self.state)

    @computed_field(description="How long ago `created_at` was; days are those of UTC")
    def age_category(self) -> AgeCategory:
        """The age, roughly."""
        return age_category(self.created_at, datetime.now(UTC))
