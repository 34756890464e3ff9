"""Do voiceprints tell people apart: score distributions, EER, rates at thresholds.

`python -m tests.bench voices` prints the tables of docs/benchmarks.md. Clips of known voices go
through the product's own segmentation, embedding and mean; all pairs are scored by cosine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.settings import Settings
from serving import assembly
from serving.arguments import speech_arguments
from serving.speech import SAMPLE_RATE, Pcm, SpeakerBounds
from tests.bench.tables import percent, table
from tests.bench.voice_sources import Take, takes

LENGTHS = (3, 5, 10)
CLIPS = 4
"""Most clips of one length of one take."""
WHOLE = SAMPLE_RATE * 4
"""A take of less speech (samples) is none of the wholes."""
COHORT = 30
"""Nearest voices of others that scores are normalised by."""
THRESHOLDS = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
BINS = np.arange(-0.3, 1.01, 0.1)
KINDS = ("same recording", "other recording", "other person")

Floats = npt.NDArray[np.float64]


class Voiceprinter:
    """The product's way from a recording of one speaker to a voiceprint."""

    def __init__(self) -> None:
        arguments = speech_arguments(Settings(), 0)
        self._segmenter = assembly.speaker_segmenter(arguments)
        self._embedder = assembly.speaker_embedder(arguments)
        self._clusterer = assembly.speaker_clusterer(arguments)
        for engine in (self._segmenter, self._embedder, self._clusterer):
            engine.load()

    @property
    def model(self) -> str:
        return self._clusterer.options.embedding_model

    def embed(self, clips: Sequence[Pcm]) -> list[tuple[float, ...] | None]:
        """One vector per clip; None: too little speech."""
        segmentations = self._segmenter.segment(clips)
        embeddings = self._embedder.embed(list(zip(clips, segmentations, strict=True)))
        one = SpeakerBounds(exact=1)
        found = [
            self._clusterer.cluster([segmentation], [vectors], one).embeddings
            for segmentation, vectors in zip(segmentations, embeddings, strict=True)
        ]
        return [next(iter(speakers.values()), None) for speakers in found]


@dataclass(frozen=True)
class Scores:
    """All pairs of clips of one length."""

    takes: list[Take]
    """Of each clip."""
    vectors: Floats

    @property
    def cosines(self) -> Floats:
        return self.vectors @ self.vectors.T

    def masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which pairs (upper triangle) are of which kind."""

        def equal(values: Sequence[Any]) -> npt.NDArray[np.bool_]:
            codes = np.unique([str(value) for value in values], return_inverse=True)[1]
            return codes[:, None] == codes[None]

        person = equal([take.person for take in self.takes])
        recording = equal([take.recording for take in self.takes])
        certain = np.array([take.certain for take in self.takes])
        group = equal([take.group or take.person for take in self.takes])
        upper = np.triu(np.ones_like(person), 1).astype(bool)
        known = person & certain & certain[:, None] & upper
        return dict(
            zip(
                KINDS,
                (known & recording, known & ~recording, ~group & ~person & upper),
                strict=True,
            )
        )

    def normalised(self) -> Floats:
        """AS-norm: each score in standard deviations above a clip's nearest strangers."""
        codes = {take: number for number, take in enumerate(dict.fromkeys(self.takes))}
        owner = np.array([codes[take] for take in self.takes])
        means = np.array([self.vectors[owner == code].mean(axis=0) for code in codes.values()])
        cohort = self.vectors @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
        stranger = np.array(
            [
                [
                    other.person != take.person and (other.group or "-") != (take.group or "+")
                    for other in codes
                ]
                for take in self.takes
            ]
        )
        nearest = np.sort(np.where(stranger, cohort, -np.inf), axis=1)[:, -COHORT:]
        shifted = (self.cosines - nearest.mean(axis=1)[:, None]) / nearest.std(axis=1)[:, None]
        return (shifted + shifted.T) / 2


def main(_arguments: list[str]) -> None:
    """Print the tables."""
    printer = Voiceprinter()
    found = list(takes())
    print(f"model: {printer.model}")
    scores = {f"{length} s": clips_of(printer, found, length) for length in LENGTHS}
    scores["whole"] = wholes_of(printer, found)
    summary(scores)
    histogram(scores["10 s"])
    rates(scores)
    extremes(scores["whole"])


def clips_of(printer: Voiceprinter, found: Sequence[Take], length: int) -> Scores:
    size = length * SAMPLE_RATE
    cut = [
        (take, take.speech[start : start + size])
        for take in found
        for start in range(0, len(take.speech) - size + 1, size)[:CLIPS]
    ]
    return embedded(printer, cut)


def wholes_of(printer: Voiceprinter, found: Sequence[Take]) -> Scores:
    """One voiceprint per take, as for a speaker of a recording."""
    return embedded(printer, [(take, take.speech) for take in found if len(take.speech) > WHOLE])


def embedded(printer: Voiceprinter, cut: Sequence[tuple[Take, Pcm]]) -> Scores:
    owners, vectors = [], []
    for part in batched_clips(cut):
        for (take, _), vector in zip(part, printer.embed([clip for _, clip in part]), strict=True):
            if vector is not None:
                owners.append(take)
                vectors.append(vector)
    return Scores(owners, np.array(vectors))


def batched_clips(cut: Sequence[tuple[Take, Pcm]]) -> list[list[tuple[Take, Pcm]]]:
    return [list(cut[start : start + 16]) for start in range(0, len(cut), 16)]


def eer(targets: Floats, others: Floats) -> tuple[float, float]:
    """The rate at which as many targets are refused as others are let in; and the threshold."""
    thresholds = np.unique(np.concatenate([targets, others]))
    refused = np.searchsorted(np.sort(targets), thresholds) / len(targets)
    let_in = 1 - np.searchsorted(np.sort(others), thresholds) / len(others)
    at = int(np.abs(refused - let_in).argmin())
    return float(refused[at] + let_in[at]) / 2, float(thresholds[at])


def summary(scores: dict[str, Scores]) -> None:
    rows = []
    for name, score in scores.items():
        cosines, normalised, masks = score.cosines, score.normalised(), score.masks()
        strangers = masks["other person"]
        for kind in KINDS[:2]:
            if not masks[kind].any():
                continue
            persons = {score.takes[at].person for at in np.nonzero(masks[kind])[0]}
            rate, threshold = eer(cosines[masks[kind]], cosines[strangers])
            by_norm, _ = eer(normalised[masks[kind]], normalised[strangers])
            pairs = masks[kind].sum(), strangers.sum()
            figures = percent(rate), f"{threshold:.2f}", percent(by_norm)
            rows.append((name, kind, len(persons), *pairs, *figures))
    header = "speech|pairs of one person|persons|pairs|pairs of two|EER|at cosine|EER, AS-norm"
    print(table(header.split("|"), rows))


def histogram(score: Scores) -> None:
    print("\nShare of pairs by cosine, clips of 10 s:\n")
    masks = score.masks()
    shares = {
        k: np.histogram(score.cosines[m], BINS)[0] / max(1, m.sum()) for k, m in masks.items()
    }
    for at, low in enumerate(BINS[:-1]):
        bars = "  ".join(f"{'#' * round(40 * shares[kind][at]):<24.24}" for kind in KINDS)
        print(f"    {low:5.1f}  {bars}".rstrip())
    print("           " + "  ".join(f"{kind:<24}" for kind in KINDS))


def rates(scores: dict[str, Scores]) -> None:
    """How many pairs of each kind reach a threshold."""
    for name, score in scores.items():
        values = {kind: score.cosines[mask] for kind, mask in score.masks().items()}
        rows = [
            (
                threshold,
                *(percent((v >= threshold).mean()) if len(v) else "-" for v in values.values()),
            )
            for threshold in THRESHOLDS
        ]
        print()
        print(table([f"{name}, cosine at least", *KINDS], rows))


def extremes(score: Scores) -> None:
    """The hardest pairs of takes."""
    masks = score.masks()
    for kind, sign in (("other recording", 1), ("other person", -1)):
        pairs = np.argwhere(masks[kind])
        cosines = score.cosines[masks[kind]]
        print(f"\n{kind}, the {'lowest' if sign > 0 else 'highest'} of {len(pairs)}:")
        for at in np.argsort(sign * cosines)[:10]:
            one, two = (score.takes[index] for index in pairs[at])
            names = (f"{take.person} ({take.recording})" for take in (one, two))
            print(f"  {cosines[at]:.2f} {', '.join(names)}")
