"""The decoder gives every accepted file as it sounds, and leaves nothing behind."""

import json
import subprocess

import numpy as np
import psutil
import pytest

from cluster.settings import MediaSettings
from serving.engines.media_decoder import MediaDecoder, MediaDecoderOptions, Waveform
from serving.speech import SpeechRegion
from tests.fixtures import media
from tests.fixtures.decoding import EverythingIsSpeech, decode, decoder, running_ffmpeg, split


@pytest.fixture(scope="module")
def store():
    with media.serve() as server:
        yield server


class TestWhatIsDecoded:
    @pytest.mark.parametrize("channels", [2, 6, 12, 24])
    def test_channels_without_a_layout_are_averaged(self, store, tmp_path, channels):
        frames = np.zeros((16_000, channels), dtype="<i2")
        frames[:, 0] = frames[:, channels // 2] = 12_000
        path = media.written(
            tmp_path / "a.wav", media.wav(channels=channels, data=frames.tobytes())
        )

        audio, _ = decode(store, path, max_channels=24)

        assert audio[8_000] == pytest.approx(24_000 / channels, rel=0.01)

    def test_loud_stereo_does_not_clip(self, store, tmp_path):
        frames = np.full((16_000, 2), 0.95, dtype="<f4")
        raw = media.written(tmp_path / "raw", frames.tobytes())
        path = media.ffmpeg(
            tmp_path / "a.wav",
            *("-f", "f32le", "-ar", "16000", "-ac", "2", "-i", str(raw), "-c:a", "pcm_f32le"),
        )

        audio, _ = decode(store, path)

        assert audio[8_000] == pytest.approx(0.95 * 32768, rel=0.01)

    def test_blocks_are_what_one_decode_gives(self, store, tmp_path):
        path = media.tone(tmp_path / "a.mp3", 7.3, "-ac", "2", rate=44_100)
        whole = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", path, "-ac", "1", "-ar", "16000", "-f", "s16le", "-"],
            check=True,
            capture_output=True,
        ).stdout

        voice_activity = EverythingIsSpeech()
        options = MediaDecoderOptions(MediaSettings(block_seconds=2))
        prepared = MediaDecoder(options, voice_activity).prepare(store.source(path))
        blocks, last = split(prepared)

        assert b"".join(block.audio.tobytes() for block in blocks) == whole
        assert [len(block.audio) for block in blocks[:-1]] == [32_000] * 3
        assert voice_activity.pushed == [len(block.audio) for block in blocks]
        assert last.regions == (SpeechRegion(0, last.duration),)
        assert len(last.peaks) == -(-len(whole) // 2 // 160)

    def test_sound_that_starts_late_keeps_its_place(self, store, tmp_path):
        path = media.video(tmp_path / "late.mkv", 4, audio_delay=1.5)

        audio, preparation = decode(store, path)

        assert preparation.duration == pytest.approx(4, abs=0.1)
        loud = np.flatnonzero(np.abs(audio) > 500)
        assert loud[0] / 16_000 == pytest.approx(1.5, abs=0.05)

    def test_silence_is_a_recording(self, store, tmp_path):
        audio, preparation = decode(store, media.silence(tmp_path / "a.wav", 2))

        assert len(audio) == 32_000
        assert not audio.any()
        assert set(preparation.peaks) == {0.0}

    def test_a_video_has_a_small_thumbnail(self, store, tmp_path):
        _, preparation = decode(store, media.video(tmp_path / "film.mp4", 2))

        assert preparation.probe.has_video
        assert preparation.thumbnail is not None
        assert preparation.thumbnail.startswith(b"\xff\xd8\xff")
        image = media.written(tmp_path / "thumbnail.jpg", preparation.thumbnail)
        size = ("-show_entries", "stream=width,height", "-of", "csv=p=0")
        answer = subprocess.check_output(["ffprobe", "-v", "error", *size, image])
        assert answer.strip() == b"320,180"

    def test_sound_shorter_than_its_film_is_whole(self, store, tmp_path):
        path = media.ffmpeg(
            tmp_path / "film.mkv",
            *("-f", "lavfi", "-i", "testsrc=d=6:r=5", "-f", "lavfi", "-i", "sine=d=2"),
        )

        _, preparation = decode(store, path)

        assert preparation.duration == pytest.approx(2, abs=0.1)
        assert "DecodingWarning" not in preparation.metadata

    def test_metadata_is_what_the_file_tells_and_not_where_it_lay(self, store, tmp_path):
        path = media.tone(
            tmp_path / "secret-name.m4a",
            1,
            *("-metadata", "title=Board meeting", "-metadata", "date=2023-05-04"),
            *("-metadata", "copyright=Someone"),
        )

        _, preparation = decode(store, path)

        metadata = preparation.metadata
        assert metadata["Title"] == "Board meeting"
        assert metadata["Copyright"] == "Someone"
        assert metadata["AudioSampleRate"] == 16_000
        assert metadata["FileSize"] == path.stat().st_size
        assert "secret-name" not in json.dumps(metadata)
        assert "/dev/fd" not in json.dumps([metadata, preparation.probe.raw])


class TestEnds:
    def test_closing_early_leaves_no_process_and_no_descriptor(self, store, tmp_path):
        path = media.silence(tmp_path / "a.wav", 600, rate=16_000)
        decode(store, media.tone(tmp_path / "warm.wav", 1))
        process = psutil.Process()
        before = process.num_fds()
        running = decoder(block_seconds=1).prepare(store.source(path))
        next(running)
        child = running_ffmpeg()

        running.close()

        # Killed already: the kernel takes a moment to end all that is in its namespace.
        child.wait(timeout=10)
        assert process.num_fds() == before

    def test_nothing_is_left_on_the_disk(self, store, tmp_path):
        path = media.tone(tmp_path / "a.wav", 1)
        spool = tmp_path / "spool"
        spool.mkdir()
        options = MediaDecoderOptions(MediaSettings(block_seconds=1), spool_dir=spool)

        running = MediaDecoder(options, EverythingIsSpeech()).prepare(store.source(path))
        next(running)

        assert list(spool.iterdir()) == []


class TestWaveform:
    def test_peaks_stand_where_the_sound_is(self):
        waveform = Waveform()
        for second in range(100):
            block = np.zeros(16_000, dtype=np.int16)
            if second == 42:
                block[0] = -32_768
            waveform.push(block)

        peaks = waveform.peaks()

        assert len(peaks) == 2_000
        assert [index for index, peak in enumerate(peaks) if peak] == [840]
        assert peaks[840] == 1.0

    @pytest.mark.parametrize("samples", [0, 1, 160, 161, 160_000, 160_001, 1_234_567])
    def test_never_more_than_two_thousand(self, samples):
        waveform = Waveform()
        waveform.push(np.full(samples, 16_384, dtype=np.int16))

        assert len(waveform.peaks()) == min(2_000, -(-samples // 160))
        assert set(waveform.peaks()) <= {0.5}
