"""A runner has under way what the replicas there are need, within what its memory bears."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.settings import RunnerSettings
from pipelines.capacity import IN_HAND, REPLICAS, SPANS, Capacity

STAGES = sorted(REPLICAS)
COUNTS = st.integers(1, 64)
WINDOW = 30.0


def capacity(each: int, batch_size: int = 4, **changes) -> Capacity:
    """For so many replicas of each role."""
    settings = RunnerSettings().model_copy(update=changes)
    return Capacity(settings, batch_size, dict.fromkeys(REPLICAS.values(), each))


@given(st.sampled_from(STAGES), COUNTS, COUNTS, COUNTS)
def test_more_replicas_never_have_less_under_way(stage, replicas, more, batch_size):
    few, many = capacity(replicas, batch_size), capacity(replicas + more, batch_size)
    assert 1 <= few.parts(stage) <= many.parts(stage)
    assert few.tasks <= many.tasks


@given(st.sampled_from(STAGES), COUNTS, COUNTS, COUNTS)
def test_the_memory_of_a_runner_is_bounded_whatever_replicas_there_are(
    stage, replicas, batch_size, most
):
    limits = {"max_outstanding_windows": most, "max_outstanding_spans": most}
    assert capacity(replicas, batch_size, **limits).parts(stage) <= most


@given(COUNTS, st.integers(1, 16), st.integers(1, 8))
@example(29, 7, 7)  # 14 * (29 / 7) is a little more than 58 in floats
def test_runners_together_give_each_replica_its_batches(replicas, batch_size, runners):
    one = capacity(replicas, batch_size, replicas=runners, max_outstanding_windows=10_000)
    needed = replicas * batch_size * one.settings.batches_per_replica
    assert needed <= runners * one.parts("transcribe") < needed + runners


@pytest.mark.parametrize("counted", [{}, dict.fromkeys(REPLICAS.values(), 0)])
@pytest.mark.parametrize("stage", STAGES)
def test_a_role_without_a_replica_is_asked_all_the_same_so_that_there_will_be_one(counted, stage):
    assert Capacity(RunnerSettings(), 4, counted).parts(stage) == capacity(1).parts(stage)


def test_each_stage_follows_the_replicas_that_its_parts_wait_for():
    settings = RunnerSettings(max_outstanding_windows=1000, max_outstanding_spans=1000)
    counted = {"transcriber": 8, "aligner": 2, "speaker_segmenter": 3, "speaker_embedder": 5}
    several = Capacity(settings, 4, counted)
    for stage, role in REPLICAS.items():
        each = settings.spans_per_replica if stage in SPANS else 4 * settings.batches_per_replica
        assert several.parts(stage) == counted[role] * each


class TestTasks:
    def test_one_replica_of_whisper_has_what_the_settings_say(self):
        one = capacity(1)
        assert one.tasks == one.settings.max_tasks
        assert one.tasks_per_user([]) == one.settings.max_tasks_per_user

    def test_many_short_recordings_of_one_user_may_keep_all_replicas_busy(self):
        many = capacity(32)
        assert many.tasks == 32 * many.settings.max_tasks
        short = [10.0] * (IN_HAND * many.parts("transcribe") - 1)
        assert many.tasks_per_user(short) == 32 * many.settings.max_tasks_per_user < many.tasks

    def test_one_long_recording_is_enough(self):
        many = capacity(32)
        hours = [IN_HAND * many.parts("transcribe") * WINDOW]
        assert many.tasks_per_user(hours) == many.settings.max_tasks_per_user

    @given(COUNTS, st.lists(st.floats(0, 40_000), max_size=20), st.floats(0, 40_000))
    def test_more_audio_in_hand_never_brings_a_user_more_places(self, replicas, seconds, more):
        some = capacity(replicas)
        assert some.tasks_per_user([*seconds, more]) <= some.tasks_per_user(seconds)
