"""Every format that is accepted sounds as it should, by the real ffmpeg."""

import numpy as np
import pytest

from tests.fixtures import media
from tests.fixtures.decoding import decode, level


@pytest.fixture(scope="module")
def store():
    with media.serve() as server:
        yield server


@pytest.mark.parametrize(
    ("name", "arguments", "rate"),
    [
        ("a.wav", ("-c:a", "pcm_u8"), 8_000),
        ("a.wav", ("-c:a", "pcm_s24le"), 48_000),
        ("a.wav", ("-c:a", "pcm_f32le"), 44_100),
        ("a.wav", ("-c:a", "pcm_mulaw"), 8_000),
        ("a.aiff", ("-c:a", "pcm_s24be"), 44_100),
        ("a.w64", (), 16_000),
        ("a.caf", (), 16_000),
        ("a.au", (), 16_000),
        ("a.flac", (), 96_000),
        ("a.mp3", (), 44_100),
        ("a.mp2", (), 48_000),
        ("a.aac", (), 44_100),
        ("a.m4a", (), 48_000),
        ("a.3gp", ("-c:a", "aac"), 16_000),
        ("a.ogg", ("-c:a", "libopus"), 48_000),
        ("a.ogg", ("-c:a", "libvorbis"), 44_100),
        ("a.webm", ("-c:a", "libopus"), 48_000),
        ("a.wma", (), 44_100),
        ("a.ts", ("-c:a", "aac"), 44_100),
        ("a.mpg", (), 44_100),
        ("a.flv", (), 44_100),
        ("a.avi", (), 44_100),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_every_format_gives_the_same_tone(store, tmp_path, name, arguments, rate):
    path = media.tone(tmp_path / name, 2, *arguments, rate=rate)

    audio, preparation = decode(store, path)

    # ffmpeg's sine has an amplitude of 1/8; lossy codecs pad by up to a few frames.
    assert preparation.duration == pytest.approx(2, abs=0.15)
    assert level(audio) == pytest.approx(0.125 / np.sqrt(2), rel=0.15)
    crossings = np.count_nonzero(np.diff(np.signbit(audio[8_000:24_000])))
    assert crossings == pytest.approx(880, abs=8)
