"""A stage's deadline: never below its base, longer for longer recordings, as slow as it was."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.pace import MIN_SECONDS, REMEMBERED, Pace

SECONDS = st.floats(0, 1e5)
NOTES = st.lists(st.tuples(SECONDS, SECONDS), max_size=80)
BASE = 600.0


def pace_of(notes: list[tuple[float, float]], slack: float = 10.0) -> Pace:
    pace = Pace(BASE, slack)
    for audio, seconds in notes:
        pace.note("transcribe", audio, seconds)
    return pace


@given(NOTES, SECONDS, st.floats(1, 100))
def test_a_deadline_is_never_below_its_base(notes, audio, slack):
    assert pace_of(notes, slack).deadline_seconds("transcribe", audio) >= BASE


@given(NOTES, SECONDS, SECONDS)
def test_a_longer_recording_has_no_shorter_deadline(notes, one, other):
    pace = pace_of(notes)
    low, high = sorted((one, other))
    deadline = pace.deadline_seconds
    assert deadline("transcribe", low) <= deadline("transcribe", high)


@given(NOTES, SECONDS)
def test_what_has_been_as_slow_is_not_given_up(notes, audio):
    """Whatever was measured last fits into the deadline `slack` times."""
    remembered = [note for note in notes if note[0] >= MIN_SECONDS][-REMEMBERED:]
    deadline = pace_of(notes).deadline_seconds("transcribe", audio)
    assert all(deadline >= seconds / length * audio for length, seconds in remembered)


@given(NOTES, SECONDS)
def test_stages_are_measured_apart(notes, audio):
    assert pace_of(notes).deadline_seconds("align", audio) == BASE + 10.0 * audio


def test_before_anything_is_measured_real_time_is_assumed():
    assert pace_of([]).deadline_seconds("transcribe", 3600.0) == BASE + 10.0 * 3600.0


def test_short_recordings_say_nothing():
    assert pace_of([(MIN_SECONDS - 1, 500.0)]).deadline_seconds("transcribe", 60.0) == BASE + 600.0
