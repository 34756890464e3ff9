"""Hostile and broken media is refused in good order, reaches nobody and takes nothing."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from serving.errors import (
    AudioTooLong,
    AudioTooShort,
    DecoderLimit,
    MediaInvalid,
    MediaUnsupported,
    NoAudio,
)
from serving.speech import DecodedBlock
from tests.fixtures import media
from tests.fixtures.decoding import decode, decoder, running_ffmpeg

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def store():
    with media.serve() as server:
        yield server


@pytest.fixture
def canary():
    with media.serve() as server:
        yield server


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    """Ten hours of silence in less than a megabyte; the header does not say how long."""
    return media.endless_flac(tmp_path_factory.mktemp("bomb"), 36_000)


@dataclass(frozen=True)
class Bad:
    make: Callable[[Path], Path]
    error: type[Exception]
    says: str


BAD = {
    "text": Bad(lambda d: media.written(d / "a.mp3", "hello\n" * 9), MediaInvalid, "text"),
    "empty": Bad(lambda d: media.written(d / "a.mp3", ""), MediaInvalid, "empty"),
    "zip": Bad(media.zip_archive, MediaInvalid, "ZIP"),
    "svg": Bad(
        lambda d: media.written(d / "a.mp4", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        MediaUnsupported,
        "SVG",
    ),
    "truncated m4a": Bad(media.truncated_m4a, MediaInvalid, "cut off"),
    "0.05 s": Bad(lambda d: media.tone(d / "a.wav", 0.05), AudioTooShort, "at least 0.1 s"),
    "only video": Bad(media.video_without_audio, NoAudio, "no audio stream"),
    "24 channels": Bad(
        lambda d: media.written(d / "a.wav", media.wav(channels=24, data=bytes(48 * 16_000))),
        MediaUnsupported,
        "24 channels; at most 16",
    ),
    "0 Hz": Bad(
        lambda d: media.written(d / "a.wav", media.wav(0, data=bytes(32_000))), MediaInvalid, "0"
    ),
    "2^31 Hz": Bad(
        lambda d: media.written(d / "a.wav", media.wav(2**31, data=bytes(32_000))),
        MediaInvalid,
        "2147483648",
    ),
    "200 MHz": Bad(
        lambda d: media.written(d / "a.wav", media.wav(200_000_000, data=bytes(32_000))),
        MediaInvalid,
        "200000000 Hz",
    ),
    "40 streams": Bad(lambda d: media.many_streams(d, 40), MediaUnsupported, "32 streams"),
    "garbage in wav": Bad(
        lambda d: media.written(d / "a.wav", b"RIFF\x00\x00\x00\x00WAVE" + media.playlist("x")),
        MediaInvalid,
        "cannot be decoded",
    ),
    "13 hours": Bad(
        lambda d: media.written(d / "a.wav", media.wav(1_000, bits=8, data=bytes(46_800_000))),
        AudioTooLong,
        "12 h",
    ),
}


class TestWhatIsRefused:
    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
    def test_header_and_decoding_say_the_same(self, store, tmp_path, bad):
        source = store.source(bad.make(tmp_path))

        with pytest.raises(bad.error, match=bad.says) as at_header:
            decoder().probe(source)
        with pytest.raises(bad.error, match=bad.says) as at_decoding:
            list(decoder().prepare(source))

        assert at_header.value.message == at_decoding.value.message
        assert "/dev/fd" not in at_header.value.message
        assert "0x" not in at_header.value.message

    def test_too_long_is_found_where_the_header_says_nothing(self, store, bomb):
        source = store.source(bomb)
        limited = decoder(max_audio_seconds=900, block_seconds=60)
        running = limited.prepare(source)

        assert limited.probe(source).duration is None
        for index in range(15):
            block = next(running)
            assert isinstance(block, DecodedBlock)
            assert (block.index, len(block.audio)) == (index, 60 * 16_000)
        with pytest.raises(AudioTooLong, match="900 s"):
            next(running)

    def test_a_header_without_sound_is_too_short(self, store, tmp_path):
        source = store.source(media.written(tmp_path / "a.wav", media.wav()))

        with pytest.raises(AudioTooShort, match="lasts 0 s"):
            list(decoder().prepare(source))

    def test_a_recording_of_exactly_the_longest_duration_fits(self, store, tmp_path):
        audio, _ = decode(store, media.silence(tmp_path / "a.wav", 3), max_audio_seconds=3)

        assert len(audio) == 3 * 16_000

    def test_noise_behind_a_good_header_is_not_a_recording(self, store, tmp_path):
        arguments = ("-c:a", "alac", "-movflags", "+faststart")
        whole = media.tone(tmp_path / "a.m4a", 5, *arguments).read_bytes()
        start = whole.index(b"mdat") + 4
        noise = np.random.default_rng(7).bytes(len(whole) - start)
        source = store.source(media.written(tmp_path / "noise.m4a", whole[:start] + noise))

        assert decoder().probe(source).duration == pytest.approx(5, abs=0.1)
        with pytest.raises(MediaInvalid, match="decoded"):
            list(decoder().prepare(source))

    @pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.m4a"])
    def test_what_is_left_of_a_cut_file_is_decoded_and_said(self, store, tmp_path, name):
        index_first = ("-movflags", "+faststart") if name == "a.m4a" else ()
        whole = media.tone(tmp_path / name, 20, *index_first).read_bytes()
        half = media.written(tmp_path / f"half-{name}", whole[: len(whole) // 2])

        audio, preparation = decode(store, half)

        assert 8 < len(audio) / 16_000 < 11
        assert "of the 20." in preparation.metadata["DecodingWarning"]


class TestNobodyElseIsReached:
    def targets(self, canary, tmp_path) -> list[str]:
        tmp_path.chmod(0o755)
        bait = media.written(tmp_path / "bait.ts", media.SECRET)
        bait.chmod(0o644)
        return [f"{canary.url}/canary.ts", bait.as_uri(), str(bait)]

    def forms(self, folder: Path, targets: list[str]) -> list[Path]:
        hls = media.playlist(*targets)
        files = "".join(f"file '{target}'\n" for target in targets)
        plain = media.tone(folder / "plain.mkv", 1, "-c:a", "pcm_s16le")
        attachment = media.written(folder / "list.m3u8", hls)
        return [
            media.written(folder / "hls.wav", hls),
            media.written(folder / "riff.wav", media.wav(data=bytes(32_000)) + hls),
            media.written(folder / "broken.wav", b"RIFF\x00\x00\x00\x00WAVE" + hls),
            media.written(folder / "ts.ts", (b"G" + bytes(187)) * 3 + hls),
            media.written(folder / "id3.mp3", b"ID3\x04\x00\x00\x00\x00\x00\x00" + hls),
            media.written(folder / "concat.mp4", f"concat:{'|'.join(targets)}"),
            media.written(folder / "subfile.mp4", f"subfile,,start,0,end,9,,:{targets[1]}"),
            media.written(folder / "list.ogg", f"ffconcat version 1.0\n{files}"),
            media.avi_with_playlist(folder, *targets),
            media.ffmpeg(
                folder / "attached.mkv",
                *("-i", str(plain), "-c", "copy", "-attach", str(attachment)),
                *("-metadata:s:t", "mimetype=application/x-mpegurl"),
            ),
        ]

    def test_the_bait_works_on_a_decoder_without_a_sandbox(self, canary, tmp_path):
        path = media.written(tmp_path / "hls.wav", media.playlist(f"{canary.url}/canary.ts"))
        open_door = ("-protocol_whitelist", "file,http,tcp", "-f", "hls")

        subprocess.run(["ffprobe", "-v", "quiet", *open_door, path], check=False)

        assert "/canary.ts" in canary.requests

    def test_neither_by_playlists_nor_by_what_hides_them(self, store, canary, tmp_path):
        decoded, refused = [], []
        for path in self.forms(tmp_path, self.targets(canary, tmp_path)):
            source = store.source(path)
            for call in (decoder().probe, lambda source: list(decoder().prepare(source))):
                try:
                    decoded.append(call(source))
                except (MediaInvalid, MediaUnsupported) as error:
                    refused.append(error.message)

        # Two formats hold sound beside the playlist, and so does the WAV that it follows.
        assert (len(decoded), len(refused)) == (6, 14)
        assert canary.requests == []
        assert media.SECRET not in repr([decoded, refused])

    def test_the_name_in_the_store_reaches_no_program(self, store, tmp_path):
        path = media.tone(tmp_path / "a.wav", 600)
        running = decoder(block_seconds=1).prepare(store.source(path))

        next(running)
        command = running_ffmpeg().cmdline()
        running.close()

        assert not [word for word in command if "http" in word or str(tmp_path) in word]


class TestBombs:
    def test_long_silence_takes_no_memory(self, store, bomb):
        process = psutil.Process()
        running = decoder(block_seconds=30).prepare(store.source(bomb))
        next(running)
        before = process.memory_info().rss

        # Its first hour is 120 such blocks, 115 MB of samples.
        sizes = [process.memory_info().rss for _ in zip(range(120), running, strict=False)]
        running.close()

        assert bomb.stat().st_size < MIB
        assert max(sizes) - before < 16 * MIB

    @pytest.mark.parametrize("side", [20_000, 30_000])
    def test_cover_art_of_gigabytes_is_not_opened(self, store, tmp_path, side):
        path = media.cover_art_bomb(tmp_path, side)

        audio, preparation = decode(store, path, decoder_memory_bytes=512 * MIB)

        assert len(audio) == pytest.approx(32_000, abs=2_000)
        assert not preparation.probe.has_video
        assert preparation.thumbnail is None
        assert len(preparation.probe.raw["streams"]) == 2

    def test_too_little_memory_is_a_limit(self, store, tmp_path):
        source = store.source(media.tone(tmp_path / "a.mp3", 2))

        with pytest.raises(DecoderLimit, match="32 MiB"):
            decoder(decoder_memory_bytes=32 * MIB).probe(source)

    def test_too_little_time_is_a_limit(self, store, tmp_path):
        source = store.source(media.tone(tmp_path / "a.mp3", 2))

        with pytest.raises(DecoderLimit, match="time"):
            decoder(decoder_base_seconds=0.001).probe(source)

    def test_a_decoder_killed_by_the_kernel_is_a_limit(self, store, tmp_path):
        path = media.silence(tmp_path / "a.wav", 600, rate=16_000)
        running = decoder(block_seconds=1).prepare(store.source(path))
        next(running)
        running_ffmpeg().kill()

        with pytest.raises(DecoderLimit):
            list(running)
