"""Recordings strung together from real speech, with texts and turns known by construction.

Clips are whole sentences of one person, or a short dialogue; between two of them there is a pause.
A clip's turns are found by its loudness, not by a model, so that no diarizer is compared with its
own kind: a stretch of speech is 30 dB below the clip's loud parts or louder, and pauses of less
than half a second are part of it.
"""

import json
import random
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.speech import SAMPLE_RATE, Pcm, SpeakerTurn
from tests.fixtures import speech
from tests.models.recordings import librivox, shared, telephone

READERS = {
    "jfk.flac": "jfk",
    "2412-153948-0000.flac": "libri-2412",
    "2412-153948-0001.flac": "libri-2412",
    "6930-75918-0000.flac": "libri-6930",
    "7902-96591-0000.flac": "libri-7902",
    "libri-1088-134315-0000.wav": "libri-1088",
}
"""Who reads the recordings of one voice that are used whole."""
TALKS = {"tree_safety_60s.opus": "nemo-tree", "chemicals_67s.opus": "nemo-chemicals"}
"""Talks of a minute whose words have times: cut at their pauses."""
PIECE_SECONDS = (6.0, 14.0)
"""A piece of a talk lasts so long, where its pauses allow it."""
TALK_PAUSE_SECONDS = 0.25

FRAME = SAMPLE_RATE // 50
BELOW_LOUD_DB = 30.0
BRIDGED_SECONDS = 0.5
"""Shorter pauses are part of a turn, as annotators mark it."""
CLICK_SECONDS = 0.1
PAUSE_SECONDS = (0.2, 1.2)
ROOM_NOISE = 4.0
"""Standard deviation of the noise in the pauses, in steps of int16: no recording is all zeros."""
SHORTEST_SECONDS = 5.0
LONGEST_SECONDS = 300.0


@dataclass(frozen=True, eq=False)
class Clip:
    """A stretch of real speech with what was said in it, and by whom; times from its start."""

    audio: Pcm
    text: str
    turns: tuple[SpeakerTurn, ...]

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE

    @property
    def voices(self) -> frozenset[str]:
        return frozenset(turn.speaker for turn in self.turns)


@dataclass(frozen=True, eq=False)
class Strung:
    """Clips one after the other, as one recording."""

    name: str
    audio: Pcm
    text: str
    turns: tuple[SpeakerTurn, ...]

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE

    def write(self, folder: Path) -> Path:
        """A WAV file of it."""
        path = folder / f"{self.name}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(self.audio.tobytes())
        return path


@cache
def clips() -> tuple[Clip, ...]:
    """All there are: eleven voices, about four and a half minutes of English."""
    return (*_readers(), *_novel(), *_talks(), *_dialogues())


def _readers() -> Iterator[Clip]:
    for name, voice in READERS.items():
        recording = shared(name)
        yield Clip(recording.audio, recording.text or "", loud_turns(recording.audio, voice))


def _novel() -> Iterator[Clip]:
    for clip in librivox():
        yield Clip(clip.audio, clip.text or "", loud_turns(clip.audio, "librivox"))


def _talks() -> Iterator[Clip]:
    """Pieces of the talks: cut where a sentence ends and a pause follows."""
    for name, voice in TALKS.items():
        recording = shared(name)
        told = json.loads(speech.shared(f"transcripts/{recording.path.stem}.json").read_text())
        words = [word for segment in told["segments"] for word in segment["words"]]
        for group in _pieces(words):
            start, end = group[0]["start"], group[-1]["end"]
            audio = recording.audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            text = " ".join(word["word"].strip() for word in group)
            yield Clip(audio, text, loud_turns(audio, voice))


def _pieces(words: Sequence[dict]) -> Iterator[list[dict]]:
    shortest, longest = PIECE_SECONDS
    group = [words[0]]
    for before, word in pairwise(words):
        lasts = before["end"] - group[0]["start"]
        pause = word["start"] - before["end"]
        if (lasts >= shortest and pause >= TALK_PAUSE_SECONDS) or (lasts >= longest and pause > 0):
            yield group
            group = []
        group.append(word)
    yield group


def _dialogues() -> Iterator[Clip]:
    """Katie and Steve, and a telephone call with words spoken over each other."""
    pair = shared("katiesteve.wav")
    yield Clip(pair.audio, pair.text or "", read_rttm(speech.shared("rttm/katiesteve.rttm")))
    call = telephone()
    yield Clip(call.audio, call.text or "", read_rttm(call.path.with_suffix(".rttm")))


def read_rttm(path: Path, name: str | None = None) -> tuple[SpeakerTurn, ...]:
    """The turns of an annotation; of one recording of several, by its name."""
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER")]
    return tuple(
        SpeakerTurn(float(start), float(start) + float(seconds), f"{file}-{who}")
        for _, file, _, start, seconds, _, _, who, *_ in lines
        if name in {None, file}
    )


def loud_turns(audio: Pcm, voice: str) -> tuple[SpeakerTurn, ...]:
    """Where a recording of one voice is loud enough to be speech."""
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float32)
    level = 10 * np.log10(np.square(frames).mean(axis=1) + 1.0)
    loud = level >= np.percentile(level, 95) - BELOW_LOUD_DB
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)) * FRAME / SAMPLE_RATE
    turns: list[SpeakerTurn] = []
    for start, end in edges.reshape(-1, 2).tolist():
        if turns and start - turns[-1].end < BRIDGED_SECONDS:
            turns[-1] = replace(turns[-1], end=end)
        else:
            turns.append(SpeakerTurn(start, end, voice))
    return tuple(turn for turn in turns if turn.end - turn.start >= CLICK_SECONDS)


def string(name: str, seconds: float, chosen: random.Random, parties: int | None = None) -> Strung:
    """A recording of about this length, of so many voices (a dialogue's two count as one).

    Of more, where they have not enough to say: fifty times the same sentence is nobody's recording,
    and guards against loops take it for one. Nobody goes on after themselves where there is
    somebody else, and clips come back only when all that fit have been used.
    """
    fitting = [clip for clip in clips() if clip.seconds <= seconds]
    heard = sorted({tuple(sorted(clip.voices)) for clip in fitting})
    order = chosen.sample(heard, len(heard))
    among = fitting if parties is None else _of_voices(fitting, order, parties, seconds)
    return joined(name, list(_order(among, seconds, chosen)), chosen)


def _of_voices(
    fitting: Sequence[Clip], order: Sequence[tuple[str, ...]], parties: int, seconds: float
) -> list[Clip]:
    """Clips of the first so many voices, and of more until they last long enough."""
    among: list[Clip] = []
    for number, voices in enumerate(order):
        if number >= parties and sum(clip.seconds for clip in among) >= seconds:
            break
        among += [clip for clip in fitting if tuple(sorted(clip.voices)) == voices]
    return among


def _order(among: Sequence[Clip], seconds: float, chosen: random.Random) -> Iterator[Clip]:
    left, waiting, before = seconds, list[Clip](), frozenset[str]()
    while fits := [clip for clip in among if clip.seconds <= left]:
        if not (open_ones := [clip for clip in waiting if clip in fits]):
            open_ones = waiting = chosen.sample(fits, len(fits))
        clip = next((one for one in open_ones if one.voices != before), open_ones[0])
        waiting = [one for one in waiting if one is not clip]
        yield clip
        left, before = left - clip.seconds - sum(PAUSE_SECONDS) / 2, clip.voices


def joined(name: str, parts: Sequence[Clip], chosen: random.Random) -> Strung:
    """The clips with pauses before, between and after them."""
    noise = np.random.default_rng(chosen.getrandbits(32))
    pieces: list[Pcm] = []
    turns: list[SpeakerTurn] = []
    samples = 0
    for clip in parts:
        pieces += [_pause(noise, chosen), clip.audio]
        samples += len(pieces[-2])
        at = samples / SAMPLE_RATE
        turns += [replace(t, start=t.start + at, end=t.end + at) for t in clip.turns]
        samples += len(clip.audio)
    audio = np.concatenate([*pieces, _pause(noise, chosen)])
    return Strung(name, audio, " ".join(clip.text for clip in parts), tuple(turns))


def _pause(noise: np.random.Generator, chosen: random.Random) -> Pcm:
    samples = round(chosen.uniform(*PAUSE_SECONDS) * SAMPLE_RATE)
    drawn: npt.NDArray[np.float64] = noise.normal(0.0, ROOM_NOISE, samples)
    return drawn.round().astype(np.int16)


def mixed(seconds: float, files: int, seed: int) -> list[Strung]:
    """Recordings of 5 s to 5 min, in all about so long: many short ones, few long ones."""
    chosen = random.Random(seed)
    return [
        string(f"mixed-{index:02d}", length, chosen, chosen.choice([1, 2, 2, 3, 4]))
        for index, length in enumerate(lengths(seconds, files, chosen))
    ]


def lengths(seconds: float, files: int, chosen: random.Random) -> list[float]:
    """Lengths from the shortest to the longest, most of them short, that add up to `seconds`."""
    longest = min(LONGEST_SECONDS, seconds / 4)
    low, high = 0.01, 100.0
    for _ in range(60):
        # The exponent that bends an even logarithmic scale until the sum is what was asked for.
        bend = (low * high) ** 0.5
        scale = (longest / SHORTEST_SECONDS) ** (np.linspace(0, 1, files) ** bend)
        low, high = (bend, high) if SHORTEST_SECONDS * scale.sum() > seconds else (low, bend)
    found: list[float] = (SHORTEST_SECONDS * scale).tolist()
    chosen.shuffle(found)
    return found
