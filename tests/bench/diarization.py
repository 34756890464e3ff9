"""How often diarization must hear each second: error rate and CPU seconds by step between chunks.

`python -m tests.bench diarization [DIALOGUES]`: dialogues put together from stretches of speech of
known voices (tests/bench/voice_sources.py), whose turns are known to the sample, and annotated
recordings with speech over speech: AMI half minutes, a telephone call, a dialogue.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serving.audio import chunk_count
from serving.speech import SAMPLE_RATE, Pcm, SpanSegmentation, SpeakerBounds, SpeakerTurn
from tests.bench import voice_sources
from tests.bench.corpus import PAUSE_SECONDS, Strung, read_rttm
from tests.bench.tables import percent, table
from tests.bench.throughput import Found, der
from tests.fixtures import speech
from tests.models.recordings import decoded
from tests.models.test_diarization import load_engines

STEPS = (1.0, 2.0, 2.5, 3.0, 4.0, 5.0)
GRIDS = (1.0, 2.5)
DIALOGUES = 10
TURN_SECONDS = (1.0, 9.0)
DIALOGUE_SECONDS = 90.0


@dataclass(frozen=True)
class Described:
    """A recording with what the models hear in each of its chunks."""

    recording: Strung
    segmentation: SpanSegmentation
    vectors: np.ndarray


def dialogues(count: int, seed: int = 3) -> Iterator[Strung]:
    """Two to six people who take turns; half of the pauses are short, some overlap nobody."""
    chosen = random.Random(seed)
    takes = voice_sources.takes(packages=False)
    least = 1.2 * TURN_SECONDS[1] * SAMPLE_RATE
    people = {take.person: take for take in takes if len(take.speech) > least}
    for index in range(count):
        names = chosen.sample(sorted(people), chosen.randint(2, 6))
        yield dialogue(f"dialogue-{index}", [people[name] for name in names], chosen)


def dialogue(name: str, voices: Sequence[voice_sources.Take], chosen: random.Random) -> Strung:
    """Stretches of their speech one after the other, each at most a few times."""
    pieces: list[Pcm] = []
    turns: list[SpeakerTurn] = []
    at, before = 0, None
    while at < DIALOGUE_SECONDS * SAMPLE_RATE:
        take = chosen.choice([voice for voice in voices if voice is not before])
        samples = round(chosen.uniform(*TURN_SECONDS) * SAMPLE_RATE)
        start = chosen.randrange(len(take.speech) - samples)
        pause = np.zeros(round(chosen.uniform(*PAUSE_SECONDS) * SAMPLE_RATE), np.int16)
        pieces += [take.speech[start : start + samples], pause]
        turns.append(SpeakerTurn(at / SAMPLE_RATE, (at + samples) / SAMPLE_RATE, take.person))
        at, before = at + samples + len(pause), take
    return Strung(name, np.concatenate(pieces), "", tuple(turns))


def annotated() -> Iterator[Strung]:
    """Real ones, speech over speech included."""
    for wav, rttm in (
        (speech.shared("audio/katiesteve.wav"), speech.shared("rttm/katiesteve.rttm")),
        (speech.sample(), speech.sample().with_suffix(".rttm")),
    ):
        yield Strung(wav.stem, decoded(wav), "", read_rttm(rttm))
    for wav, rttm, cut in voice_sources.meetings():
        yield Strung(cut, decoded(wav), "", read_rttm(rttm, cut))


def padded(audio: Pcm) -> Pcm:
    """With silence for as long as the longest step: then the last chunk of every step is there."""
    return np.pad(audio, (0, round(max(STEPS)) * SAMPLE_RATE + SAMPLE_RATE))


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else DIALOGUES
    made = {"dialogues by construction": list(dialogues(count)), "annotated": list(annotated())}
    rows = []
    for name, recordings in made.items():
        heard = {grid: describe(recordings, grid) for grid in GRIDS}
        for step in STEPS:
            # The chunks of a step of 4 s are every fourth of those of 1 s: heard once for all.
            grid = next(grid for grid in GRIDS if step % grid == 0)
            described, cost = heard[grid]
            found = [diarized(one, step) for one in described]
            rows.append(row(name, step, recordings, found, cost * grid / step))
    header = "recordings|step, s|DER|DER, 0.25 s each side|speakers found, of|CPU s per minute"
    print(table(header.split("|"), rows))


def describe(recordings: Sequence[Strung], step: float) -> tuple[list[Described], float]:
    """What the models hear at this step, and the CPU seconds that it took."""
    engines = load_engines(step)
    started = time.process_time()
    described = []
    for recording in recordings:
        [segmentation], [vectors] = engines.describe([padded(recording.audio)])
        described.append(Described(recording, segmentation, vectors))
    return described, time.process_time() - started


def diarized(one: Described, step: float) -> Found:
    """Turns from every so many-th chunk."""
    every = round(step / one.segmentation.step_seconds)
    kept = slice(0, chunk_count(len(one.recording.audio), step_seconds=step) * every, every)
    segmentation = replace(
        one.segmentation, activity=one.segmentation.activity[kept], step_seconds=step
    )
    clustering = load_engines(one.segmentation.step_seconds).clustering
    found = clustering.cluster([segmentation], [one.vectors[kept]], SpeakerBounds())
    return Found("", [(turn.start, turn.end, turn.speaker) for turn in found.turns], {})


def row(
    name: str, step: float, recordings: Sequence[Strung], found: Sequence[Found], cost: float
) -> tuple[object, ...]:
    """A line of the table."""
    speakers = sum(len({turn[2] for turn in one.turns}) for one in found)
    true = sum(len({turn.speaker for turn in one.turns}) for one in recordings)
    minutes = sum(one.seconds for one in recordings) / 60
    return (
        name,
        step,
        percent(der(recordings, found, 0.0)),
        percent(der(recordings, found, 0.25)),
        f"{speakers} of {true}",
        f"{cost / minutes:.1f}",
    )
