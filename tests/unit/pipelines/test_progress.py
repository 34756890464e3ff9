"""Progress: one number from many counts, which never goes back."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.plan import SHARE, Track, plan
from pipelines.progress import ProgressMeter
from pipelines.stages.base import Options, Stage


def stages(track: Track) -> tuple[Stage, ...]:
    return track if isinstance(track, tuple) else (track,)


async def nowhere(_stage: str, _progress: float, _eta: float | None) -> None:
    return None


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(SHARE)), st.floats(0, 100), st.floats(0, 100)),
        max_size=50,
    )
)
def test_progress_never_goes_back_and_stays_within_bounds(calls):
    async def scenario() -> None:
        meter = ProgressMeter(SHARE, nowhere)
        before = 0.0
        for stage, done, total in calls:
            meter(stage, min(done, total), total)
            assert before <= meter.fraction <= 1.0 + 1e-9
            before = meter.fraction

    import asyncio

    asyncio.run(scenario())


def test_all_stages_done_is_one():
    assert sum(SHARE.values()) == 1.0


def test_every_stage_of_a_plan_has_a_share():
    for diarize in (True, False):
        steps = plan(Options(diarize=diarize))
        names = {stage.name for step in steps for track in step for stage in stages(track)}
        assert names <= set(SHARE)


def test_the_plan_in_words():
    def words(options: Options) -> str:
        return " → ".join(
            " ∥ ".join(", ".join(stage.name for stage in stages(track)) for track in step)
            for step in plan(options)
        )

    assert words(Options()) == "prepare → transcribe, align ∥ diarize → attribute"
    assert words(Options(diarize=False)) == "prepare → transcribe, align → attribute"
