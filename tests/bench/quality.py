"""Quality per recording, beside plain WhisperX and pyannote with the same weights.

`python -m tests.bench quality` prints the tables of docs/benchmarks.md.
"""

import time
from typing import Any

from serving.speech import Diarization
from tests.bench.local import load, transcribe
from tests.bench.peer import Peer
from tests.bench.tables import percent, table
from tests.fixtures.media import serve
from tests.fixtures.speech import shared
from tests.models.recordings import Recording, librivox, shared_recordings, telephone
from tests.models.test_whisper import wer

ANNOTATED = ("sample.wav", "katiesteve.wav")


def annotation(diarization: Diarization | None) -> Any:
    """Our turns as pyannote's annotation."""
    from pyannote.core import Annotation, Segment

    found = Annotation()
    for number, turn in enumerate(diarization.turns if diarization else ()):
        found[Segment(turn.start, turn.end), number] = turn.speaker
    return found


def error_rates(reference: Any, found: Any) -> tuple[float, float]:
    """DER at collar 0 and 0.25 s, overlap included."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    zero, quarter = (
        float(DiarizationErrorRate(collar=collar)(reference, found)) for collar in (0.0, 0.5)
    )
    return zero, quarter


def reference_turns(recording: Recording) -> Any:
    """The RTTM beside a recording."""
    from pyannote.database.util import load_rttm

    path = recording.path.with_suffix(".rttm")
    path = path if path.exists() else shared(f"rttm/{recording.path.stem}.rttm")
    return next(iter(load_rttm(str(path)).values()))


def main(_arguments: list[str]) -> None:
    """Print both tables."""
    arguments, ports = load()
    peer = Peer(arguments)
    words, speakers = [], []
    with serve() as server:
        for recording in [telephone(), *librivox(), *shared_recordings()]:
            started = time.perf_counter()
            ours = transcribe(arguments, ports, server, recording.path)
            ours_seconds = time.perf_counter() - started
            started = time.perf_counter()
            text, language = peer.transcribe(recording.path)
            found = peer.diarize(recording.path)
            peer_seconds = time.perf_counter() - started
            said = " ".join(segment.text for segment in ours.segments)
            guess = ours.language
            words.append(
                (
                    recording.name,
                    recording.language or "-",
                    f"{guess.language} {guess.probability:.2f}" if guess else "no speech",
                    language,
                    percent(rate(recording, said)),
                    percent(rate(recording, text)),
                    f"{ours_seconds:.1f}",
                    f"{peer_seconds:.1f}",
                )
            )
            print(words[-1], flush=True)
            if recording.name in ANNOTATED:
                speakers.append(diarization_row(recording, ours.diarization, found))
    header = "recording|said to be|ours finds|WhisperX finds|WER ours|WER WhisperX|s ours|s peer"
    print(table(header.split("|"), words))
    header = "recording|speakers|found|DER ours|pyannote|DER, 0.25 s each side, ours|pyannote"
    print(table(header.split("|"), speakers))


def rate(recording: Recording, text: str) -> float | None:
    """WER, where the recording has a reference."""
    return None if recording.text is None else wer(recording.text, text)


def diarization_row(
    recording: Recording, ours: Diarization | None, peer: Any
) -> tuple[object, ...]:
    """One line of the second table."""
    reference = reference_turns(recording)
    mine, mine_collar = error_rates(reference, annotation(ours))
    theirs, theirs_collar = error_rates(reference, peer)
    return (
        recording.name,
        len(reference.labels()),
        len(ours.speakers) if ours else 0,
        percent(mine),
        percent(theirs),
        percent(mine_collar),
        percent(theirs_collar),
    )
