"""The real recordings are decoded whole: as long as they should be, and not silent."""

import pytest

from tests.fixtures import media
from tests.fixtures.decoding import decode, level
from tests.fixtures.speech import manifest, shared

pytestmark = pytest.mark.models

NOTHING = [{"file": "manifest.json"}]
"""Skips, and says where the recordings were looked for."""


@pytest.fixture(scope="module")
def store():
    with media.serve() as server:
        yield server


@pytest.mark.parametrize("entry", manifest() or NOTHING, ids=lambda entry: entry["file"])
def test_real_recordings_last_as_long_as_they_should(store, entry):
    audio, preparation = decode(store, shared(entry["file"]))

    assert preparation.duration == len(audio) / 16_000
    assert preparation.duration == pytest.approx(entry["seconds"], abs=0.06)
    assert preparation.probe.duration == pytest.approx(entry["seconds"], abs=0.06)
    assert level(audio) > 0.003
    assert "DecodingWarning" not in preparation.metadata
