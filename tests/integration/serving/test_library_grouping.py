"""The voices of a library through the port and through the replica: the same groups."""

import numpy as np
import pytest

from cluster.settings import Settings
from serving.arguments import SpeechArguments, speech_arguments
from serving.deployments.speaker_clusterer import SpeakerClusterer
from serving.inprocess import create_ports
from serving.speech import SAMPLE_RATE, Pcm, SpeakerBounds

APART = np.zeros((0, 2), dtype=np.int32)


@pytest.fixture(scope="module")
def arguments() -> SpeechArguments:
    settings = Settings()
    settings.speech = settings.speech.model_copy(update={"engines": "fake"})
    return speech_arguments(settings, 0)


def noise(seed: int, seconds: int) -> Pcm:
    return np.random.default_rng(seed).integers(-3000, 3000, seconds * SAMPLE_RATE, np.int16)


async def voice(ports, audio: Pcm) -> tuple[float, ...]:
    [segmentation] = await ports.segmenter.segment([audio])
    embeddings = await ports.embedder.embed([(audio, segmentation)])
    found = await ports.clusterer.cluster([segmentation], embeddings, SpeakerBounds())
    (voiceprint,) = found.embeddings.values()
    return voiceprint


async def test_a_person_of_two_recordings_is_one_group(arguments):
    ports = create_ports(arguments)
    recordings = [noise(1, 4), noise(2, 4), noise(1, 4)]
    voices = np.array([await voice(ports, audio) for audio in recordings], dtype=np.float32)
    numbers = np.arange(3, dtype=np.int32)
    found = await ports.clusterer.group(voices, numbers, APART, 0.8)
    np.testing.assert_array_equal(found, [0, -1, 0])
    replica = SpeakerClusterer(arguments)
    np.testing.assert_array_equal(await replica.group(voices, numbers, APART, 0.8), found)
    ruled_out = np.array([[2, 0]], dtype=np.int32)
    alone = await ports.clusterer.group(voices, numbers, ruled_out, 0.8)
    np.testing.assert_array_equal(alone, [-1, -1, -1])


async def test_the_more_two_recordings_share_the_more_alike_their_fake_voices_are(arguments):
    ports = create_ports(arguments)
    shared = noise(1, 5)
    pieces = [np.concatenate([shared, noise(seed, 14)]) for seed in (2, 3)] + [noise(4, 19)]
    one, half, other = [np.array(await voice(ports, audio)) for audio in pieces]
    assert np.linalg.norm(half) == pytest.approx(1.0)
    assert one @ other < 0.3 < one @ half < 0.95
