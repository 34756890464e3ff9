"""Segmentation and embedding beside pyannote's own classes, on networks with random weights."""

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engines import pyannote_model
from serving.engines.speaker_embedding import (
    SpeakerEmbeddingEngine,
    SpeakerEmbeddingOptions,
    choose_masks,
)
from serving.engines.speaker_segmentation import (
    SpeakerSegmentationEngine,
    SpeakerSegmentationOptions,
)
from serving.errors import ModelUnavailable, OutOfMemory
from serving.speech import SAMPLE_RATE, Pcm, SpanSegmentation


def noise(seconds: float, seed: int = 0) -> Pcm:
    rng = np.random.default_rng(seed)
    return (3000 * rng.normal(size=int(seconds * SAMPLE_RATE))).astype(np.int16)


def checkpoint(model, path: Path) -> Path:
    """What pyannote publishes: a Lightning checkpoint."""
    import torch

    content = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": version("pytorch-lightning"),
    }
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory):
    """A powerset network whose random answers change from frame to frame, and its folder."""
    pyannote_model.quiet()
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.segmentation import PyanNet

    torch.manual_seed(0)
    model = PyanNet(lstm={"hidden_size": 16}, linear={"hidden_size": 16, "num_layers": 1})
    model.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=10.0,
        classes=["a", "b", "c"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    model.setup()
    model.classifier.weight.data *= 50
    folder = tmp_path_factory.mktemp("segmentation")
    pyannote_model.convert(checkpoint(model, folder / "checkpoint.bin"), folder)
    return SimpleNamespace(folder=folder, model=model.eval())


@pytest.fixture(scope="module")
def embedding(tmp_path_factory):
    """A WeSpeaker network with random weights, and its folder."""
    pyannote_model.quiet()
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    torch.manual_seed(0)
    model = WeSpeakerResNet34()
    model.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=10.0
    )
    folder = tmp_path_factory.mktemp("embedding")
    pyannote_model.convert(checkpoint(model, folder / "checkpoint.bin"), folder)
    return SimpleNamespace(folder=folder, model=model.eval())


def segmenter(folder: Path, **options) -> SpeakerSegmentationEngine:
    engine = SpeakerSegmentationEngine(SpeakerSegmentationOptions(folder, **options))
    engine.load()
    return engine


@pytest.mark.parametrize("seconds", [0.5, 10, 10.5, 13, 14.25])
def test_segmentation_is_that_of_pyannotes_inference(segmentation, seconds: float):
    import torch
    from pyannote.audio import Inference

    audio = noise(seconds)
    inference = Inference(segmentation.model, step=1.0, skip_aggregation=True)
    waveform = torch.from_numpy(audio.astype(np.float32) / 32768)[None]
    expected = inference({"waveform": waveform, "sample_rate": SAMPLE_RATE})
    (found,) = segmenter(segmentation.folder).segment([audio])
    assert found.activity.shape == expected.data.shape
    assert found.activity.any()
    # A tie in the last bit may fall otherwise in another batch.
    assert np.mean(found.activity != expected.data) < 1e-3
    frames = segmentation.model.receptive_field
    assert (found.frame_seconds, found.frame_step_seconds) == (frames.duration, frames.step)
    assert (found.chunk_seconds, found.step_seconds) == (10.0, 1.0)


def test_spans_are_batched_together_and_come_back_apart(segmentation):
    engine = segmenter(segmentation.folder, batch_size=4, threads=2)
    spans = [noise(12, seed=1), noise(3, seed=2), noise(17.5, seed=3)]
    together = engine.segment(spans)
    assert [len(result.activity) for result in together] == [3, 1, 9]
    for result, span in zip(together, spans, strict=True):
        (alone,) = engine.segment([span])
        assert np.mean(result.activity != alone.activity) < 1e-3


def test_no_spans_no_results(segmentation):
    assert segmenter(segmentation.folder).segment([]) == []


@pytest.mark.filterwarnings("ignore:std")
def test_embeddings_are_those_of_pyannotes_class(embedding):
    import torch
    from pyannote.audio.pipelines.speaker_verification import (
        PyannoteAudioPretrainedSpeakerEmbedding,
    )

    span = activity(chunks=2)
    audio = noise(10.5)
    options = SpeakerEmbeddingOptions(embedding.folder, batch_size=2, threads=1)
    engine = SpeakerEmbeddingEngine(options)
    engine.load()
    (found,) = engine.embed([(audio, span)])
    plain = PyannoteAudioPretrainedSpeakerEmbedding(embedding.model)
    last = np.pad(audio[SAMPLE_RATE:], (0, SAMPLE_RATE // 2)).astype(np.float32) / 32768
    masks = choose_masks(span.activity[1], plain.min_num_samples / len(last))
    for vector, mask in zip(found[1], masks, strict=True):
        if mask.any():
            waveform = torch.from_numpy(last)[None, None]
            expected = plain(waveform, masks=torch.from_numpy(mask)[None])[0]
            np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-4)
        else:
            assert np.isnan(vector).all()


def activity(chunks: int) -> SpanSegmentation:
    """Three local speakers: one all the time, one in a part of it, one never."""
    frames = np.zeros((chunks, 589, 3), dtype=np.uint8)
    frames[:, :, 0] = 1
    frames[:, 100:250, 1] = 1
    return SpanSegmentation(frames, 10.0, 1.0, 0.0619375, 0.016875)


@given(
    runs=st.lists(st.tuples(st.integers(0, 7), st.integers(1, 60)), min_size=1, max_size=20),
    samples=st.integers(1, 40_000),
)
def test_the_frames_of_a_speaker_are_chosen_as_pyannote_does(runs, samples):
    bits = np.repeat([value for value, _ in runs], [length for _, length in runs])
    local = ((bits[:, None] >> np.arange(3)) & 1).astype(np.uint8)
    clean = local * (1.0 * (np.sum(local, axis=1, keepdims=True) < 2))
    least = np.ceil(len(local) * samples / 160_000)
    expected = [c if np.sum(c) > least else m for m, c in zip(local.T, clean.T, strict=True)]
    np.testing.assert_array_equal(choose_masks(local, samples / 160_000), expected)


def test_missing_weights_say_what_to_type(tmp_path: Path):
    with pytest.raises(ModelUnavailable, match="make models"):
        segmenter(tmp_path)
    engine = SpeakerEmbeddingEngine(SpeakerEmbeddingOptions(tmp_path / "a-wespeaker.onnx"))
    with pytest.raises(ModelUnavailable, match="make models"):
        engine.load()


def test_an_embedding_model_is_no_segmentation_model(embedding):
    with pytest.raises(ModelUnavailable, match="powerset"):
        segmenter(embedding.folder)


def test_out_of_memory_halves_the_batch_and_ends_in_a_verdict_on_one_item():
    def room_for(most: int):
        def run(batch):
            if len(batch) > most:
                raise MemoryError
            return [item * 10 for item in batch]

        return run

    assert pyannote_model.in_halves(room_for(2), [1, 2, 3, 4, 5]) == [10, 20, 30, 40, 50]
    with pytest.raises(OutOfMemory):
        pyannote_model.in_halves(room_for(0), [1, 2, 3])
