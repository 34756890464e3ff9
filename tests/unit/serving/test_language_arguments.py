"""What the language model inside the cluster is started with."""

from pathlib import Path

import pytest

from cluster.resources import Bounds, Role, bounds, check_fit, deployment_options
from cluster.settings import LanguageSettings, Settings
from serving.errors import ModelUnavailable
from serving.language_arguments import CPU, GPU, defaults, language_arguments, runtime_env


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("RAYSCRIBE_LLM_LOCAL", "true")
    return Settings()


def weights(settings: Settings, name: str) -> Path:
    folder = settings.paths.model_dir / name
    folder.mkdir(parents=True)
    for file in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / file).write_text("{}")
    return folder


def test_the_hardware_decides_what_is_left_open():
    assert defaults(LanguageSettings(), on_gpu=False) == CPU
    assert defaults(LanguageSettings(), on_gpu=True) == GPU
    chosen = defaults(LanguageSettings(context_tokens=8192, dtype="bfloat16"), on_gpu=False)
    assert (chosen.context_tokens, chosen.dtype, chosen.model) == (8192, "bfloat16", CPU.model)


def test_a_replica_is_told_where_the_weights_are(settings: Settings):
    folder = weights(settings, CPU.model)
    arguments = language_arguments(settings, gpus=0)
    assert arguments["model"] == str(folder)
    assert (arguments["engine"], arguments["name"]) == ("vllm", CPU.model)
    assert arguments["on_gpu"] is False


def test_a_folder_of_ones_own_is_taken(settings: Settings, tmp_path: Path):
    own = tmp_path / "my-model"
    own.mkdir()
    settings.language = settings.language.model_copy(update={"model": str(own)})
    assert language_arguments(settings, gpus=0)["name"] == "my-model"


def test_missing_weights_are_said_before_anything_starts(settings: Settings):
    with pytest.raises(ModelUnavailable, match="rayscribe models --fetch"):
        language_arguments(settings, gpus=0)


def test_fake_engines_need_none(settings: Settings):
    settings.speech = settings.speech.model_copy(update={"engines": "fake"})
    told = {"engine": "fake", "context_tokens": CPU.context_tokens}
    assert language_arguments(settings, gpus=0) == told


def test_its_replicas_are_processes_of_the_other_environment(settings: Settings):
    python = Path(".venv-llm/bin/python")
    settings.language = settings.language.model_copy(update={"python": python})
    environment = runtime_env(settings)
    # Not where the link of a virtual environment leads to.
    assert environment["py_executable"] == str(Path.cwd() / python)
    assert environment["env_vars"]["VLLM_NO_USAGE_STATS"] == "1"


def test_without_it_nothing_is_asked_of_the_cluster(monkeypatch: pytest.MonkeyPatch):
    assert bounds(Role.language_model, Settings()) == Bounds(0, 0)


def test_it_may_go_to_nothing_while_nobody_asks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAYSCRIBE_REPLICAS_LANGUAGE_MODEL_MIN", "0")
    settings = Settings()
    options = deployment_options(Role.language_model, settings, gpus=0, target_requests=8)
    assert options["autoscaling_config"]["min_replicas"] == 0
    check_fit(settings, cpus=2, gpus=0)


def test_it_has_a_gpu_of_its_own(settings: Settings):
    options = deployment_options(Role.language_model, settings, gpus=2)
    assert options["ray_actor_options"]["num_gpus"] == 1
