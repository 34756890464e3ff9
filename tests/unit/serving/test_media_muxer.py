"""Videos with subtitles: what players find in them, and that nothing else changed."""

import json
import subprocess
from pathlib import Path

import pytest

from api.languages import LANGUAGES
from cluster.settings import MediaSettings
from serving.engines.media_decoder import MediaDecoder, MediaDecoderOptions
from serving.engines.media_muxer import ISO_639_2
from serving.errors import MediaUnsupported, SpeechUnavailable
from serving.muxing import VideoFormat, format_for
from serving.speech import MuxRequest
from tests.fixtures import media
from tests.fixtures.decoding import EverythingIsSpeech

SUBTITLES = (
    "1\n00:00:00,100 --> 00:00:00,900\nAda: Hello <there>.\n\n"
    "2\n00:00:01,000 --> 00:00:01,933\nЁж,\n{\\an8} C:\\New 日本 & --\n"
)


@pytest.fixture
def store():
    with media.serve() as server:
        yield server


def decoder(**settings) -> MediaDecoder:
    return MediaDecoder(MediaDecoderOptions(MediaSettings(**settings)), EverythingIsSpeech())


def request(
    store: media.MediaServer, path: Path, video_format: VideoFormat, **more: str
) -> MuxRequest:
    url = f"{store.url}/made?signature=secret"
    return MuxRequest(store.source(path), url, more.get("subtitles", SUBTITLES), "ru", video_format)


def muxed(store: media.MediaServer, path: Path, video_format: VideoFormat, **more: str) -> Path:
    """The result, as a file."""
    size = decoder().mux(request(store, path, video_format, **more))
    made = path.with_name(f"made.{video_format}")
    made.write_bytes(store.stored["/made"])
    assert made.stat().st_size == size
    return made


def streams(path: Path) -> list[dict]:
    shown = ["-show_entries", "stream=codec_type,codec_name,start_time:stream_tags=language"]
    command = ["ffprobe", "-v", "error", *shown, "-of", "json", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"]


def packets(path: Path) -> list[str]:
    """A hash of all packets of each picture and sound."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:V", "-map", "0:a"]
    command += ["-c", "copy", "-f", "streamhash", "-hash", "md5", "-"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.partition("=")[2] for line in done.stdout.splitlines()]


def subtitles(path: Path) -> str:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:s", "-f", "srt", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


CASES = [
    ("a.mp4", VideoFormat.mp4, "mov_text", ()),
    ("a.mov", VideoFormat.mp4, "mov_text", ()),
    ("a.mkv", VideoFormat.mkv, "subrip", ()),
    ("a.webm", VideoFormat.webm, "webvtt", ("-c:v", "libvpx", "-c:a", "libopus")),
    ("a.avi", VideoFormat.mkv, "subrip", ()),
    ("a.ts", VideoFormat.mkv, "subrip", ()),
    ("a.flv", VideoFormat.mkv, "subrip", ("-ar", "44100")),
]


@pytest.mark.parametrize(("name", "video_format", "codec", "options"), CASES)
def test_the_subtitles_are_a_stream_and_the_rest_is_untouched(
    tmp_path, store, name, video_format, codec, options
):
    source = media.video(tmp_path / name, 2.5, *options)

    made = muxed(store, source, video_format)

    video, audio, text = streams(made)
    assert (video["codec_type"], audio["codec_type"]) == ("video", "audio")
    assert (text["codec_type"], text["codec_name"]) == ("subtitle", codec)
    assert text["tags"]["language"] == "rus"
    assert packets(made) == packets(source)
    assert "Ada: Hello \uff1cthere\uff1e." in subtitles(made)
    # What looks like markup is shown, as its fullwidth twin.
    assert "Ёж,\n\uff5b\uff3can8\uff5d C:\uff3cNew 日本 & --" in subtitles(made)


def test_picture_and_subtitles_stay_together_where_time_does_not_begin_at_zero(tmp_path, store):
    source = media.video(tmp_path / "late.ts", 3)
    assert float(streams(source)[0]["start_time"]) > 1

    made = muxed(store, source, VideoFormat.mkv)

    assert float(streams(made)[0]["start_time"]) < 0.1
    assert "00:00:00,1" in subtitles(made)


def test_an_mp4_can_be_played_before_it_is_there(tmp_path, store):
    made = muxed(store, media.video(tmp_path / "a.mp4", 2), VideoFormat.mp4).read_bytes()

    assert made.index(b"moov") < made.index(b"mdat")


def test_what_the_probe_says_decides_the_format(tmp_path, store):
    for name, video_format, _, options in CASES:
        source = media.video(tmp_path / name, 1, *options)
        probe = decoder().probe(store.source(source))
        assert format_for(probe.container, probe.codecs) is video_format
    assert format_for("mp4", {"prores", "pcm_s16le"}) is VideoFormat.mkv
    assert format_for("mp4", ()) is VideoFormat.mkv


def test_a_recording_without_words(tmp_path, store):
    source = media.video(tmp_path / "a.mp4", 1)

    made = muxed(store, source, VideoFormat.mp4, subtitles="")

    assert packets(made) == packets(source)
    assert subtitles(made) == ""


def test_a_video_that_is_too_large_is_not_even_fetched(tmp_path, store):
    path = media.video(tmp_path / "a.mp4", 1)

    with pytest.raises(MediaUnsupported, match="up to 1000"):
        decoder(max_mux_bytes=1000).mux(request(store, path, VideoFormat.mp4))

    assert store.requests == []


def test_codecs_that_do_not_fit_are_refused(tmp_path, store):
    path = media.video(tmp_path / "a.mp4", 1)

    with pytest.raises(MediaUnsupported, match="one by one"):
        muxed(store, path, VideoFormat.webm)

    assert store.stored == {}


def test_a_store_that_does_not_take_it(tmp_path, store):
    path = media.video(tmp_path / "a.mp4", 1)
    wanted = request(store, path, VideoFormat.mp4)
    refusing = MuxRequest(
        wanted.source, "http://127.0.0.1:1/x?signature=secret", SUBTITLES, None, wanted.format
    )

    with pytest.raises(SpeechUnavailable) as refused:
        decoder().mux(refusing)

    assert "secret" not in refused.value.message


def test_every_language_has_three_letters():
    assert ISO_639_2.keys() == LANGUAGES
    assert all(len(code) == 3 for code in ISO_639_2.values())
