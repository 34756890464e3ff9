"""What Whisper leaves out of a window is heard in the window's halves.

Clips of eleven voices strung together, `base` int8, beam 5, 400 s for each seed (words wrong; in
brackets words that are missing):

| seed | plain decoding | with the halves |
|---|---|---|
| 7 | 7.7 % (39) | 6.3 % (25) |
| 11 | 15.1 % (116) | 9.3 % (52) |
| 13 | 15.6 % (116) | 8.8 % (47) |
| 17 | 8.5 % (53) | 6.6 % (35) |
| 19 | 10.6 % (76) | 7.0 % (40) |
| 23 | 10.1 % (67) | 6.7 % (31) |
| all | 11.3 % | 7.4 % |

10 of about 90 windows are heard again; words that nobody said are one at most for a seed. Halves
once came to 7.6 %; reading with time stamps instead to 7.9 %, and to 7.3 % with halves after it.
"""

import random
from dataclasses import replace
from functools import cache

import jiwer
import pytest

from serving.engines.omissions import leaves_out
from serving.engines.whisper import WhisperEngine
from serving.speech import WindowText
from tests.bench.corpus import Strung, string
from tests.models.recordings import shared, whisper, windows_of
from tests.models.test_whisper import normal

pytestmark = pytest.mark.models


@cache
def strung() -> Strung:
    """Windows of it that change from one voice to another lose whole sentences."""
    return string("strung", 200, random.Random(13))


def read(engine: WhisperEngine, *, guarded: bool) -> jiwer.WordOutput:
    windows = list(windows_of(strung().audio, "en"))
    if not guarded:
        windows = [replace(window, speech_seconds=None) for window in windows]
    answers = engine.transcribe(windows)
    texts = [answer.text for answer in answers if isinstance(answer, WindowText)]
    assert len(texts) == len(windows)
    return jiwer.process_words([normal(strung().text)], [normal(" ".join(texts))])


def test_sentences_that_were_left_out_are_heard_in_halves():
    plain, guarded = (read(whisper("base"), guarded=choice) for choice in (False, True))
    assert guarded.deletions < plain.deletions - 20
    assert guarded.insertions <= plain.insertions + 1
    assert guarded.wer < plain.wer


@pytest.mark.parametrize("name", ["tree_safety_60s.opus", "chemicals_67s.opus", "french.aiff"])
def test_complete_windows_are_not_heard_again(name):
    recording = shared(name)
    assert recording.language
    engine = whisper("base")
    for window in windows_of(recording.audio, recording.language):
        (reading,) = engine._heard([engine.prepare(window)], limit=225)[1]
        assert not leaves_out(reading, window.speech_seconds, engine.options.omissions)
