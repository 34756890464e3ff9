"""hama's acoustic model in numpy hears what hama's own engine hears."""

from functools import cache
from pathlib import Path

import hama
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.engines.hama_acoustics import WINDOW_SAMPLES, HamaAcoustics
from serving.errors import ModelUnavailable
from serving.speech import SAMPLE_RATE
from tests.models.recordings import librivox, shared, telephone

pytestmark = pytest.mark.models

ASSETS = Path(hama.__file__).parent / "assets"


@cache
def ours() -> HamaAcoustics:
    return HamaAcoustics(ASSETS / "asr_waveform.hama")


@cache
def theirs() -> hama.ASRModel:
    return hama.ASRModel()


def assert_same(waveform: np.ndarray) -> None:
    (expected,) = theirs().session.run(["log_probs"], {"waveform": waveform[None]})
    heard = ours()(waveform)
    assert heard.shape == expected[0].shape
    assert heard.dtype == np.float32
    # Measured: 0.0076 at most, in one frame of 356.
    np.testing.assert_allclose(np.exp(heard), np.exp(expected[0]), atol=0.03)


def test_speech_is_heard_alike():
    for recording in [*librivox(), telephone(), shared("chemicals_67s.opus")]:
        assert_same(recording.audio[: 11 * SAMPLE_RATE].astype(np.float32) / 32768)


# Less than half a window is mirrored at its ends otherwise: 0.09 were seen there.
@settings(max_examples=20, deadline=None)
@given(
    st.integers(WINDOW_SAMPLES, 3 * SAMPLE_RATE),
    st.sampled_from([0.0, 0.001, 1.0]),
    st.integers(0, 9),
)
def test_noise_and_silence_of_any_length_are_heard_alike(samples, loudness, seed):
    noise = np.random.default_rng(seed).uniform(-loudness, loudness, samples)
    assert_same(noise.astype(np.float32))


def test_another_file_is_refused(tmp_path: Path):
    other = tmp_path / "other.hama"
    other.write_bytes(b"HAMAPK\x02\x00nothing")
    with pytest.raises(ModelUnavailable, match=r"other\.hama"):
        HamaAcoustics(other)
