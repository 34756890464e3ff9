"""When retention runs: once a day at its time, whatever the clocks of its zone do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.retention import DailyRun, due_since, latest_moment, next_moment
from pipelines.system_settings import RetentionSettings, parsed

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "America/Havana",
    "Africa/Casablanca",
)
moments = st.integers(0, 4000 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
settings = st.builds(
    lambda hour, minute, zone: RetentionSettings(
        enabled=True, run_at=f"{hour:02}:{minute:02}", timezone=zone
    ),
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from(ZONES),
)


@given(settings, moments)
def test_now_lies_between_the_latest_run_and_the_next(rules, now):
    latest, following = latest_moment(rules, now), next_moment(rules, now)
    assert latest <= now < following
    # A day of 25 hours, and a time that a change of clocks leaves out.
    assert timedelta(hours=22) <= following - latest <= timedelta(hours=26)


@given(settings, moments)
def test_the_next_run_is_the_latest_one_once_it_has_come(rules, now):
    following = next_moment(rules, now)
    assert latest_moment(rules, following) == following
    assert latest_moment(rules, following - timedelta(microseconds=1)) == latest_moment(rules, now)


@given(settings, moments, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_looking_as_often_as_one_likes_makes_one_run_for_each_time(rules, start, steps):
    now, last, runs = start, None, []
    for hours in steps:
        now += timedelta(hours=hours)
        moment = due_since(rules, now, None, last)
        if moment is not None:
            runs.append(moment)
            last = DailyRun(scheduled_for=moment, started_at=now, finished_at=now)
        assert due_since(rules, now, None, last) is None
    assert len(runs) == len(set(runs))
    assert runs == sorted(runs)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_time_is_of_the_zone_in_summer_and_in_winter():
    rules = RetentionSettings(run_at="02:00", timezone="Europe/Berlin")
    assert next_moment(rules, at("2026-01-10T12:00Z")) == at("2026-01-11T01:00Z")
    assert next_moment(rules, at("2026-07-10T12:00Z")) == at("2026-07-11T00:00Z")


def test_a_time_that_is_left_out_comes_an_hour_later_and_one_that_comes_twice_counts_once():
    rules = RetentionSettings(run_at="02:30", timezone="Europe/Berlin")
    assert latest_moment(rules, at("2026-03-29T12:00Z")) == at("2026-03-29T01:30Z")
    assert next_moment(rules, at("2026-10-24T12:00Z")) == at("2026-10-25T00:30Z")
    assert next_moment(rules, at("2026-10-25T00:30Z")) == at("2026-10-26T01:30Z")


class TestDue:
    rules = RetentionSettings(enabled=True, run_at="02:00")
    now = at("2026-05-05T08:00Z")
    moment = at("2026-05-05T02:00Z")

    def run(self, **changes) -> DailyRun:
        known = {"scheduled_for": self.moment, "started_at": self.moment, "finished_at": self.now}
        return DailyRun.model_validate(known | changes)

    def test_a_time_that_passed_while_nobody_looked_is_made_up_for(self):
        assert due_since(self.rules, self.now, None, None) == self.moment

    def test_what_was_done_is_not_done_again(self):
        assert due_since(self.rules, self.now, None, self.run()) is None

    def test_what_was_interrupted_goes_on(self):
        assert due_since(self.rules, self.now, None, self.run(finished_at=None)) == self.moment

    def test_nothing_is_due_unless_it_is_enabled(self):
        assert due_since(RetentionSettings(run_at="02:00"), self.now, None, None) is None

    def test_a_change_starts_nothing_by_itself(self):
        changed = at("2026-05-05T07:59Z")
        assert due_since(self.rules, self.now, changed, None) is None
        tomorrow = at("2026-05-06T02:00Z")
        assert due_since(self.rules, tomorrow, changed, None) == tomorrow


class TestSettings:
    @pytest.mark.parametrize(
        "values",
        [
            {"days": 0},
            {"days": 3651},
            {"days": "90"},
            {"days": True},
            {"enabled": 1},
            {"run_at": "2:00"},
            {"run_at": "24:00"},
            {"run_at": "02:00\n"},
            {"run_at": "0\u0662:00"},
            {"timezone": "Nowhere"},
            {"timezone": "../../etc/passwd"},
            {"timezone": "UTC\0"},
            {"timezone": "x" * 100_000},
            {"day": 3},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, values):
        with pytest.raises(ValidationError):
            RetentionSettings.model_validate(values)

    def test_a_field_of_another_version_is_passed_over(self):
        assert parsed(RetentionSettings, {"days": 5, "gone": 1}) == RetentionSettings(days=5)
