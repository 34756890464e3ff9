"""Finding models: by name and role, the defaults of each profile, and what cannot work.

Look-up only: `serving.model_entries` is the list, `serving.weights` fetches, engines load.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from cluster.settings import Profile, SpeechSettings
from serving.errors import ModelUnavailable
from serving.model_entries import DIARIZATION, MODELS
from serving.model_kinds import DiarizationModel, Hub, Library, Model, OnDemand, Role


class Choice(NamedTuple):
    """The names and numbers that one installation runs with."""

    whisper: str
    diarization: str
    alignment: str
    compute_type: str
    batch_size: int
    text_embedding: str
    segmentation_step_seconds: float


CPU_DEFAULTS = Choice("base", "campplus", "ctc_phoneme", "int8", 4, "all-MiniLM-L6-v2", 2.5)
GPU_DEFAULTS = Choice(
    "large-v2",
    "pyannote/speaker-diarization-3.1",
    "wav2vec2",
    "float16",
    16,
    "all-MiniLM-L6-v2",
    1.0,
)
GPU_COMPUTE_TYPES = frozenset({"float16", "int8_float16", "bfloat16", "int8_bfloat16"})


def find(name: str, role: Role) -> Model:
    """Find a model by its name or its hub repository.

    Raises:
        ModelUnavailable: there is none; the message lists those there are.
    """
    candidates = [model for model in MODELS if model.role == role]
    for model in candidates:
        if _is_called(model, name):
            return model
    known = ", ".join(model.name for model in candidates)
    raise ModelUnavailable(f"unknown {role} model {name!r}: it is no folder and none of {known}")


def diarization(name: str) -> DiarizationModel:
    """Find a diarization model by its name.

    Raises:
        ModelUnavailable: there is none; the message lists those there are.
    """
    for model in DIARIZATION:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in DIARIZATION)
    raise ModelUnavailable(f"unknown diarization model {name!r}: it is none of {known}")


def resolve(name: str, role: Role, model_dir: Path, hub_token: str | None = None) -> Path:
    """Find the file or folder that an engine is to load. Nothing is fetched here.

    A name that the catalogue does not know may be that of a folder.

    Raises:
        ModelUnavailable: unknown, or not on disk; the message says what to type.
    """
    if is_own_folder(name, role):
        return Path(name)
    model = find(name, role)
    path = location(model, model_dir)
    if not is_present(model, model_dir):
        raise ModelUnavailable(_advice(model, path, hub_token))
    return path


def location(model: Model, model_dir: Path) -> Path:
    """Where a model's weights are, or will be.

    Raises:
        ModelUnavailable: they are part of a package that is not installed.
    """
    if isinstance(model.source, Library):
        found = find_spec(model.source.package)
        if found is None or not found.submodule_search_locations:
            raise ModelUnavailable(f"{model.source} is not installed: run `make setup`")
        return Path(found.submodule_search_locations[0]) / model.source.file
    return model_dir / model.folder / model.entry


def is_present(model: Model, model_dir: Path) -> bool:
    """Whether the files are there; `serving.weights.is_right` looks into them.

    A set that is filled on demand counts as there.
    """
    match model.source:
        case Library():
            return location(model, model_dir).is_file()
        case OnDemand():
            return True
        case _:
            return all((model_dir / model.folder / name).is_file() for name in model.files)


def choose(
    speech: SpeechSettings, model_dir: Path, has_gpu: bool, text_embedding: str | None = None
) -> Choice:
    """Take the profile's defaults, and what the settings say instead.

    Raises:
        ModelUnavailable: an unknown name, or a combination that cannot work, with the reason.
    """
    usual = defaults(speech.profile, has_gpu)
    choice = Choice(
        speech.whisper_model or usual.whisper,
        speech.diarization_model or usual.diarization,
        speech.alignment_model or usual.alignment,
        speech.compute_type or usual.compute_type,
        speech.batch_size or usual.batch_size,
        text_embedding or usual.text_embedding,
        speech.segmentation_step_seconds or usual.segmentation_step_seconds,
    )
    check(choice, speech, model_dir, has_gpu)
    return choice


def defaults(profile: Profile, has_gpu: bool = False) -> Choice:
    """What a profile runs; `auto` is `gpu` where there is one.

    Raises:
        ModelUnavailable: the profile is `gpu`, and there is none.
    """
    if profile is Profile.gpu and not has_gpu:
        raise ModelUnavailable("RAYSCRIBE_PROFILE=gpu, but there is no GPU: say cpu or auto")
    return GPU_DEFAULTS if has_gpu and profile is not Profile.cpu else CPU_DEFAULTS


def check(choice: Choice, speech: SpeechSettings, model_dir: Path, has_gpu: bool) -> None:
    """Refuse what cannot work, before anything starts.

    Raises:
        ModelUnavailable: with the reason, and what to set instead.
    """
    if choice.compute_type in GPU_COMPUTE_TYPES and not has_gpu:
        raise ModelUnavailable(
            f"COMPUTE_TYPE={choice.compute_type} needs a GPU, and there is none: say int8"
        )
    language = speech.whisper_language
    if choice.whisper.endswith(".en") and language not in {"auto", "en"}:
        raise ModelUnavailable(
            f"WHISPER_MODEL={choice.whisper} knows English only, WHISPER_LANGUAGE is {language}"
        )
    for model in chosen(choice):
        unasked = needs_token(model) and not speech.huggingface_token
        if unasked and not is_present(model, model_dir):
            raise ModelUnavailable(_gated_advice(model))


def chosen(choice: Choice) -> list[Model]:
    """List the models that a choice needs; folders of the user's own are left out.

    Raises:
        ModelUnavailable: a name is unknown.
    """
    voices = diarization(choice.diarization)
    names = (
        (choice.whisper, Role.asr),
        (choice.alignment, Role.alignment),
        ("silero", Role.voice_activity),
        (voices.segmentation, Role.segmentation),
        (voices.embedding, Role.speaker_embedding),
        (choice.text_embedding, Role.text_embedding),
    )
    return [find(name, role) for name, role in names if not is_own_folder(name, role)]


def needs_token(model: Model) -> bool:
    """Whether its repository asks who downloads."""
    return isinstance(model.source, Hub) and model.source.gated


def is_own_folder(name: str, role: Role) -> bool:
    """Whether a name that the catalogue does not know is that of a folder."""
    known = any(_is_called(model, name) for model in MODELS if model.role == role)
    return not known and Path(name).is_dir()


def _is_called(model: Model, name: str) -> bool:
    return name in {model.name, getattr(model.source, "repository", model.name)}


def _advice(model: Model, path: Path, hub_token: str | None) -> str:
    if needs_token(model) and not hub_token:
        return _gated_advice(model)
    if isinstance(model.source, Library):
        return f"{path} is missing: run `make setup`"
    return (
        f"the weights of {model.name} are not in {path}:"
        f" run `make models` or `rayscribe models --fetch {model.name}`"
    )


def _gated_advice(model: Model) -> str:
    return (
        f"{model.name} is gated: accept its conditions on huggingface.co, set HUGGINGFACE_TOKEN"
        f" and run `rayscribe models --fetch {model.name}`"
    )
