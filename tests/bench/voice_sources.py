"""Recordings of known voices: the shared folder, pyannote's meeting cuts, Debian's spoken sounds.

Packages are downloaded and opened, never installed; what cannot be had is left out, and said.
"""

import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from serving.speech import SAMPLE_RATE, Pcm
from tests.fixtures import speech
from tests.models.recordings import decoded, librivox, voice_activity

CACHE = Path(tempfile.gettempdir()) / "rayscribe-voices"
SPEECH_SECONDS = 45
"""Most speech that is taken of one recording."""
MEETINGS = "pyannote.audio==4.0.7"

SHARED = {
    "jfk.flac": "jfk",
    "2412-153948-0000.flac": "libri-2412",
    "2412-153948-0001.flac": "libri-2412",
    "6930-75918-0000.flac": "libri-6930",
    "libri-1088-134315-0000.wav": "libri-1088",
    # The names are those of the dialogue, the voices are not: pitch (184 and 122 Hz, there 212 and
    # 139) and cosine (0.13 and 0.10, like strangers) say so, and its script is a later one.
    "enrollment_audio_katie.wav": "katie-of-enrolment",
    "enrollment_audio_steve.wav": "steve-of-enrolment",
    "zhcn_continuous_mode_sample.wav": "zhcn",
    "es-mx.wav": "es-mx",
    "tree_safety_60s.opus": "nemo-tree",
    "chemicals_67s.opus": "nemo-chemicals",
    "ami_ES2011a_6s.wav": "ami-abbie",
}
"""Who speaks in recordings of one voice. Who reads the others is not said anywhere."""

PROMPTS = {
    "asterisk-core-sounds-en-g722": "allison-smith",
    # By the same person as the English ones (the package's copyright file), in another language.
    "asterisk-core-sounds-es-g722": "allison-smith",
    "asterisk-core-sounds-fr-g722": "june-wallack",
    "asterisk-core-sounds-it-g722": "carlo-flora",
    "asterisk-core-sounds-ru-g722": "maxim-topal",
    "asterisk-prompt-fr-armelle": "armelle-desjardins",
    "asterisk-prompt-it-menardi-wav": "menardi",
    "asterisk-prompt-es-co": "es-co",
}
GAMES = ("fillets-ng-data-cs", "fillets-ng-data-nl")
"""Dialogues of two fish, each spoken by one actor: `-m-` and `-v-` in the name of a file."""
VOLUNTEERS = {"ktuberling-data": "*", "klettres-data": "*/alpha"}
"""Words and letters in many languages; the sound folders of a language are one volunteer's."""
KIN = ({"es", "ca", "gl"}, {"de", "nds"}, {"nb", "nn", "da", "sv"}, {"ru", "uk"}, {"fr", "wa"})
"""Languages that one volunteer may have recorded two of."""


@dataclass(frozen=True, eq=False)
class Take:
    """The speech of one person in one recording, without pauses."""

    person: str
    recording: str
    speech: Pcm
    certain: bool = True
    """That all of it is this one person's."""
    group: str = ""
    """Takes of one group are never compared as different persons: they may be the same."""


def takes(*, packages: bool = True) -> Iterator[Take]:
    """Every take that can be had here; or, sooner, without Debian's packages."""
    sources: Sequence[Callable[[], Iterable[Take]]] = (_shared, _dialogues, _readers, _meetings)
    for source in (*sources, _prompts, _games, _volunteers) if packages else sources:
        try:
            found = list(source())
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"left out: {source.__name__[1:]}: {error}", flush=True)
            continue
        print(f"{source.__name__[1:]}: {len(found)} takes", flush=True)
        yield from found


def voiced(audio: Pcm) -> Pcm:
    """The stretches in which voice activity detection hears speech, joined."""
    regions = voice_activity().detect(audio)
    return _pieces(audio, ((region.start, region.end) for region in regions))


def _pieces(audio: Pcm, stretches: Iterable[Sequence[float]]) -> Pcm:
    pieces = [audio[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in stretches]
    return np.concatenate([np.zeros(0, np.int16), *pieces])[: SPEECH_SECONDS * SAMPLE_RATE]


def _shared() -> Iterator[Take]:
    for name, person in SHARED.items():
        group = "nemo" if person.startswith("nemo") else ""
        yield Take(person, name, voiced(decoded(speech.shared(f"audio/{name}"))), group=group)


def _readers() -> Iterator[Take]:
    clips = np.concatenate([clip.audio for clip in librivox()])
    yield Take("librivox", "librivox", voiced(clips))


def _dialogues() -> Iterator[Take]:
    """Katie and Steve together; a telephone call."""
    katiesteve = speech.shared("audio/katiesteve.wav")
    yield from _alone(katiesteve, speech.shared("rttm/katiesteve.rttm"), str.lower)
    yield from _alone(speech.sample(), speech.sample().with_suffix(".rttm"), "call-{}".format)


def _meetings() -> Iterator[Take]:
    """Half minutes of AMI meetings; a person has the same name in all of them."""
    for wav, rttm, cut in meetings():
        yield from _alone(wav, rttm, lambda name: f"ami-{_plain(name)}", cut)


def meetings() -> Iterator[tuple[Path, Path, str]]:
    """The half minutes with their annotations, and the name that each has there."""
    folder = CACHE / "pyannote"
    if not folder.is_dir():
        command = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
        command += ["--no-build-isolation", "--disable-pip-version-check", "--no-cache-dir"]
        with tempfile.TemporaryDirectory() as temp:
            _run([sys.executable, *command, "--dest", temp, MEETINGS], CACHE)
            with tarfile.open(next(Path(temp).glob("*.tar.gz"))) as archive:
                archive.extractall(folder, filter="data")
    data = next(folder.glob("*/tests/data"))
    for rttm in sorted(data.glob("debug.*.rttm")):
        for cut in sorted({line.split()[1] for line in rttm.read_text().splitlines()}):
            # Some names are spelled with accents, to test that.
            (wav,) = (path for path in data.glob("*.wav") if _plain(path.stem) == _plain(cut))
            yield wav, rttm, cut


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def _alone(
    wav: Path, rttm: Path, rename: Callable[[str], str], cut: str | None = None
) -> Iterator[Take]:
    """Each speaker of an annotated recording, where nobody else speaks."""
    lines = [line.split() for line in rttm.read_text().splitlines()]
    turns = [
        (float(start), float(start) + float(seconds), name)
        for _, file, _, start, seconds, _, _, name, *_ in lines
        if cut in (None, file)
    ]
    grid = np.zeros((len(names := sorted({name for *_, name in turns})), 100 * 3600), dtype=bool)
    for start, end, name in turns:
        grid[names.index(name), round(start * 100) : round(end * 100)] = True
    for row, name in zip(grid & (grid.sum(axis=0) == 1), names, strict=True):
        edges = np.flatnonzero(np.diff(row, prepend=False, append=False)) / 100
        spoken = _pieces(decoded(wav), edges.reshape(-1, 2).tolist())
        yield Take(rename(name), wav.name, spoken)


def _prompts() -> Iterator[Take]:
    for package, person in PROMPTS.items():
        yield Take(person, package, _joined(_files(_opened(package))))


def _games() -> Iterator[Take]:
    for package in GAMES:
        for role in ("m", "v"):
            spoken = _joined(p for p in _files(_opened(package)) if f"-{role}-" in p.stem)
            yield Take(f"{package}-{role}", f"{package}-{role}", spoken)


def _volunteers() -> Iterator[Take]:
    for package, pattern in VOLUNTEERS.items():
        top = next(_opened(package).glob("usr/share/*/sounds"), None) or next(
            _opened(package).glob("usr/share/klettres")
        )
        # Serbian is there four times, in other scripts: the sounds are the same.
        for folder in sorted(p for p in top.glob(pattern) if p.is_dir() and "@" not in p.name):
            language = folder.relative_to(top).parts[0]
            spoken = _joined(_files(folder))
            if len(spoken):
                name = f"{package.removesuffix('-data')}-{language}"
                yield Take(name, name, spoken, certain=False, group=_kin(language))


def _kin(language: str) -> str:
    plain = language.partition("_")[0]
    return "-".join(next((sorted(kin) for kin in KIN if plain in kin), [plain]))


def _opened(package: str) -> Path:
    """The files of a Debian package."""
    folder = CACHE / package
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as temp:
            _run(["apt-get", "download", package], Path(temp))
            _run(["dpkg-deb", "-x", *map(str, Path(temp).glob("*.deb")), str(folder)], CACHE)
    return folder


def _run(command: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _files(folder: Path) -> Iterator[Path]:
    kinds = {".g722", ".wav", ".ogg", ".gsm"}
    yield from sorted(
        p for p in folder.rglob("*") if p.suffix in kinds and "silence" not in p.parts
    )


def _joined(files: Iterable[Path]) -> Pcm:
    """The speech of many short files, up to what is needed."""
    found, seconds = [np.zeros(0, np.int16)], 0.0
    for path in islice(files, 150):
        found.append(decoded(path))
        seconds += len(found[-1]) / SAMPLE_RATE
        if seconds > 2 * SPEECH_SECONDS:
            break
    return voiced(np.concatenate(found))
