"""How facts read to people."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import display
from api.display import AgeCategory
from api.schemas import FileOut, TaskOut
from db.models import FileStatus, Lane, MediaFile, Task, TaskKind, TaskState

NOW = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)
MOMENTS = st.integers(-(10**9), 10**9).map(lambda seconds: NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, None),
        (0, "0:00"),
        (0.4, "0:00"),
        (59.6, "1:00"),
        (61, "1:01"),
        (3599.4, "59:59"),
        (3599.6, "1:00:00"),
        (36_000, "10:00:00"),
    ],
)
def test_durations(seconds, shown):
    assert display.duration(seconds) == shown


@given(st.integers(0, 10**6))
def test_a_duration_is_its_seconds(seconds):
    parts = [int(part) for part in display.duration(seconds).split(":")]
    assert sum(part * 60**place for place, part in enumerate(reversed(parts))) == seconds
    assert all(part < 60 for part in parts[1:])


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (18_302_111, "18.3 MB"),
        (5_000_000_000, "5.0 GB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_sizes(size, shown):
    assert display.file_size(size) == shown


@given(st.integers(1000, 10**15))
def test_a_size_is_near_its_bytes(size):
    number, unit = display.file_size(size).split()
    power = display.SIZE_UNITS.index(unit) + 1
    assert float(number) * 1000**power == pytest.approx(size, rel=0.051)
    assert 1 <= float(number) < 1000


def test_a_date_is_of_utc():
    east = timezone(timedelta(hours=10))
    assert display.date(datetime(2030, 2, 1, 5, 0, tzinfo=east)) == "Jan 31, 2030"


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=13), "1 week ago"),
        (timedelta(days=29), "4 weeks ago"),
        (timedelta(days=364), "12 months ago"),
        (timedelta(days=800), "2 years ago"),
    ],
)
def test_ages(ago, shown):
    assert display.age(NOW - ago, NOW) == shown


@pytest.mark.parametrize(
    ("ago", "category"),
    [
        (timedelta(hours=-1), AgeCategory.today),
        (timedelta(hours=9), AgeCategory.today),
        (timedelta(hours=10), AgeCategory.week),
        (timedelta(days=7, hours=9), AgeCategory.week),
        (timedelta(days=7, hours=10), AgeCategory.month),
        (timedelta(days=31), AgeCategory.older),
    ],
)
def test_age_categories(ago, category):
    assert display.age_category(NOW - ago, NOW) is category


@given(MOMENTS, MOMENTS)
def test_a_moment_is_within_the_bounds_of_its_category_and_no_other(moment, now):
    inside = []
    for category in AgeCategory:
        start, end = display.age_bounds(category, now)
        if (start is None or moment >= start) and (end is None or moment < end):
            inside.append(category)
    assert inside == [display.age_category(moment, now)]


@pytest.mark.parametrize("status", FileStatus)
def test_every_status_has_a_word_and_a_badge(status):
    assert display.state(status) == status.value.title()
    assert display.badge_class(status) == f"status-{status}"


def test_a_file_carries_its_words():
    file = MediaFile(
        id=uuid.uuid4(),
        filename="a.flac",
        content_type="audio/flac",
        size_bytes=2_500_000,
        sha256="0" * 64,
        status=FileStatus.completed,
        duration=75.2,
        created_at=NOW,
        updated_at=NOW,
    )
    shown = FileOut.model_validate(file).model_dump()
    assert shown["formatted_duration"] == "1:15"
    assert shown["formatted_file_size"] == "2.5 MB"
    assert shown["formatted_upload_date"] == "Jan 31, 2030"
    assert (shown["display_status"], shown["status_badge_class"]) == (
        "Completed",
        "status-completed",
    )


def test_a_task_tells_how_long_it_took():
    task = Task(
        id=uuid.uuid4(),
        kind=TaskKind.transcription,
        state=TaskState.completed,
        lane=Lane.interactive,
        progress=1,
        attempt=1,
        options={},
        result={},
        audio_seconds=3,
        created_at=NOW,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=95),
    )
    shown = TaskOut.model_validate(task)
    assert shown.model_dump()["formatted_duration"] == "1:35"
    assert shown.model_dump()["status_display"] == "Completed"
    task.started_at = None
    assert TaskOut.model_validate(task).model_dump()["formatted_duration"] is None
