"""How much silence Whisper's encoder has to hear behind a short window, on a CPU.

`python -m tests.bench axis [MODEL]`: clips by themselves and strung together, up to 29 s, each read
once with every axis, without what is tried again of doubtful readings. Says what it costs, how many
words are wrong, and how many nobody said.
"""

import random
import time
from collections.abc import Iterator

import jiwer

from serving.engines.decoding_guards import find_doubt, token_limit
from serving.engines.whisper import WhisperEngine, WhisperOptions
from serving.engines.whisper_encoder import WHOLE_AXIS, AxisOptions, HeardWindow
from serving.speech import SAMPLE_RATE, WINDOW_SECONDS, Pcm, WindowRequest
from tests.bench.corpus import clips, joined
from tests.bench.tables import percent, table
from tests.models.recordings import whisper_folder
from tests.models.test_whisper import normal

STRUNG = 40
STRUNG_SECONDS = (6.0, 26.0)
SEED = 5
AXES = {
    "30 s": WHOLE_AXIS,
    "as it is": AxisOptions(),
    **{f"window + {margin} s": AxisOptions(0.0, margin, 0.02) for margin in (1.0, 2.0, 4.0, 8.0)},
    "15 s, window + 5 s": AxisOptions(15.0, 5.0, 0.02),
}


def windows() -> Iterator[tuple[Pcm, str]]:
    """Audio, and what is said in it."""
    chosen = random.Random(SEED)
    yield from ((clip.audio, clip.text) for clip in clips() if clip.seconds <= WINDOW_SECONDS - 2)
    for number in range(STRUNG):
        left, parts = chosen.uniform(*STRUNG_SECONDS), []
        while (clip := chosen.choice(clips())).seconds <= left:
            parts.append(clip)
            left -= clip.seconds + 1
        if parts:
            strung = joined(str(number), parts, chosen)
            yield strung.audio, strung.text


def main(arguments: list[str]) -> None:
    """Print the table."""
    model = arguments[0] if arguments else "base"
    heard = list(windows())
    texts = [normal(text) for _, text in heard]
    rows = []
    for name, axis in AXES.items():
        engine = WhisperEngine(WhisperOptions(str(whisper_folder(model)), threads=1, axis=axis))
        engine.load()
        read, doubtful, started = [], 0, time.process_time()
        for audio, _ in heard:
            request = WindowRequest(audio, "en")
            encoded = engine._encoder.encode([HeardWindow(request)])
            limit = token_limit(len(audio) / SAMPLE_RATE)
            [reading] = engine._read(encoded, [request], limit, {"beam_size": 5})
            doubtful += find_doubt(reading, None, engine.options.guards) is not None
            read.append(normal(reading.text))
        spent = time.process_time() - started
        found = jiwer.process_words(texts, read)
        rows.append(
            (name, f"{spent:.1f}", percent(found.wer), found.insertions, found.deletions, doubtful)
        )
        print(rows[-1], flush=True)
    print(f"{len(heard)} windows")
    print(table(["axis", "CPU s", "WER", "words invented", "words missing", "doubtful"], rows))
