"""A backfill whose actors would wait for ever says so."""

import pytest

from cluster.resources import gpus_held
from cluster.settings import BackfillSettings, Settings
from pipelines.backfills.ray_driver import no_room


@pytest.mark.parametrize(
    ("gpus", "refused"), [(0.0, False), (1.0, True), (2.0, False)], ids=["CPU", "one", "two"]
)
def test_the_default_shares_leave_room_from_the_second_gpu_on(gpus: float, refused: bool):
    share = BackfillSettings().num_gpus if gpus else 0.0
    problem = no_room(share, gpus, gpus_held(Settings(), gpus))
    assert (problem is not None) is refused
    if problem:
        assert "`online`" in problem
        assert "RAYSCRIBE_BACKFILL_NUM_GPUS" in problem


def test_a_share_that_just_fits_has_room():
    assert no_room(0.3, 1.0, 0.1 + 0.6) is None
