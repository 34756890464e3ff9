"""Every replica's model can be warmed up with the weights of the CPU default."""

import pytest

from cluster.settings import Settings
from serving.arguments import speech_arguments
from serving.deployments.aligner import Aligner
from serving.deployments.speaker_embedder import SpeakerEmbedder
from serving.deployments.speaker_segmenter import SpeakerSegmenter
from serving.deployments.text_embedder import TextEmbedder
from serving.deployments.transcriber import Transcriber
from serving.errors import ModelUnavailable

pytestmark = pytest.mark.models


@pytest.mark.parametrize(
    "kind", [Transcriber, Aligner, SpeakerSegmenter, SpeakerEmbedder, TextEmbedder]
)
async def test_a_replica_becomes_ready(kind):
    try:
        arguments = speech_arguments(Settings(), 0)
        assert arguments.warm_up
        replica = kind(arguments)
    except ModelUnavailable as error:
        pytest.skip(str(error))
    stats = await replica.stats()
    assert stats["model"]
    # What warms a model counts for nobody.
    assert all(batcher.counter.batches == 0 for batcher in replica.batchers.values())
