"""Of a media file no more is fetched than its header needs, and a store that fails is said so."""

from pathlib import Path
from typing import Any

import pytest

from cluster.settings import MediaSettings
from serving.engines.media_decoder import MediaDecoder, MediaDecoderOptions
from serving.errors import AudioTooLong, MediaInvalid, SpeechUnavailable
from serving.speech import MediaProbe, MediaSource
from tests.fixtures import media
from tests.fixtures.decoding import EverythingIsSpeech, decoder


class TestFetching:
    END_BYTES = 32 * 1024

    @pytest.fixture
    def own_store(self):
        with media.serve() as server:
            yield server

    def probe(self, source: MediaSource, **settings: Any) -> MediaProbe:
        options = MediaDecoderOptions(MediaSettings(**settings), end_bytes=self.END_BYTES)
        return MediaDecoder(options, EverythingIsSpeech()).probe(source)

    def large(self, target: Path, *arguments: str) -> Path:
        """Ten times head and tail together: 20 s."""
        path = media.silence(target, 20, "-c:a", "pcm_s16le", *arguments, rate=16_000)
        assert path.stat().st_size > 19 * self.END_BYTES
        return path

    @pytest.mark.parametrize("name", ["a.wav", "index-behind.mov", "a.mkv"])
    def test_of_a_large_file_head_and_tail_are_enough(self, own_store, tmp_path, name):
        probe = self.probe(own_store.source(self.large(tmp_path / name)))

        assert probe.duration == pytest.approx(20, abs=0.1)
        assert len(own_store.requests) == 2
        assert own_store.bytes_sent == 2 * self.END_BYTES

    def test_an_index_in_the_middle_is_still_found(self, own_store, tmp_path):
        path = self.large(tmp_path / "a.mov")
        with path.open("ab") as file:
            file.write((2 * self.END_BYTES).to_bytes(4, "big") + b"free")
            file.write(bytes(2 * self.END_BYTES - 8))

        probe = self.probe(own_store.source(path))

        assert probe.duration == pytest.approx(20, abs=0.1)
        assert len(own_store.requests) == 3

    def test_a_fragmented_film_is_read_to_its_last_fragment(self, own_store, tmp_path):
        fragments = ("-movflags", "+frag_keyframe+empty_moov", "-frag_duration", "1000000")
        path = self.large(tmp_path / "a.mov", *fragments)

        probe = self.probe(own_store.source(path))

        assert probe.duration == pytest.approx(20, abs=0.1)

    def test_refusals_are_never_by_head_and_tail_alone(self, own_store, tmp_path):
        source = own_store.source(self.large(tmp_path / "a.wav"))

        with pytest.raises(AudioTooLong):
            self.probe(source, max_audio_seconds=10)

        assert len(own_store.requests) == 3

    @pytest.mark.parametrize("status", [301, 403, 404, 500, 503])
    def test_a_store_that_does_not_deliver_can_be_asked_again(self, own_store, tmp_path, status):
        source = own_store.source(media.tone(tmp_path / "a.wav", 1))
        own_store.status = status

        with pytest.raises(SpeechUnavailable, match=str(status)) as failure:
            decoder().probe(source)

        assert failure.value.retryable
        assert "signature" not in failure.value.message

    def test_a_cut_transfer_can_be_repeated(self, own_store, tmp_path):
        source = own_store.source(media.tone(tmp_path / "a.wav", 1))
        own_store.cut_at = 1_000

        with pytest.raises(SpeechUnavailable):
            decoder().probe(source)

    def test_another_file_than_was_uploaded_is_refused(self, own_store, tmp_path):
        path = media.tone(tmp_path / "a.wav", 1)
        source = own_store.source(path)
        path.write_bytes(path.read_bytes() + b"more")

        with pytest.raises(MediaInvalid, match="were uploaded"):
            decoder().probe(source)
