"""Magic bytes decide what a file is; what is refused is named, and so is what is accepted."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from serving.containers import ACCEPTED, Container, sniff
from serving.errors import MediaInvalid, MediaUnsupported
from tests.fixtures import media

MPEG_LAYER_3 = b"\xff\xfb\x90\x00" + bytes(413)
ADTS = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)
HEADS = {
    Container.mp4: [
        b"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00",
        b"\x00\x00\x00\x18ftyp3gp5\x00\x00\x02\x00",
        b"\x00\x00\x01\x00moov\x00\x00\x00\x6cmvhd",
        b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat",
    ],
    Container.matroska: [b"\x1aE\xdf\xa3\x01\x00\x00\x00\x00\x00\x00\x1fB\x86"],
    Container.ogg: [b"OggS\x00\x02" + bytes(20)],
    Container.wav: [media.wav(), b"RF64\xff\xff\xff\xffWAVEds64", b"RIFX\x00\x00\x01\x00WAVEfmt "],
    Container.w64: [b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"],
    Container.avi: [b"RIFF\x00\x00\x01\x00AVI LIST"],
    Container.mp3: [
        MPEG_LAYER_3 * 3,
        b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + MPEG_LAYER_3 * 3,
        b"ID3\x03\x00\x00\x7f\x7f\x7f\x7f cover art that goes on behind what is seen",
        bytes(500) + MPEG_LAYER_3 * 3,
        bytes(range(1, 200)) + MPEG_LAYER_3 * 4,
    ],
    Container.aac: [ADTS * 3, b"ID3\x04\x00\x00\x00\x00\x00\x02\x00\x00" + ADTS * 3],
    Container.flac: [
        b"fLaC\x00\x00\x00\x22",
        b"ID3\x04\x00\x00\x00\x00\x00\x00fLaC\x00\x00\x00\x22",
    ],
    Container.aiff: [b"FORM\x00\x00\x10\x00AIFFCOMM", b"FORM\x00\x00\x10\x00AIFCFVER"],
    Container.asf: [b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel"],
    Container.mpegts: [(b"G" + bytes(187)) * 3, (bytes(4) + b"G" + bytes(187)) * 3],
    Container.mpeg: [b"\x00\x00\x01\xba\x44\x00"],
    Container.amr: [b"#!AMR\n\x3c", b"#!AMR-WB\n\x3c"],
    Container.caf: [b"caff\x00\x01\x00\x00desc"],
    Container.au: [b".snd\x00\x00\x00\x18"],
    Container.flv: [b"FLV\x01\x05\x00\x00\x00\x09"],
}
UNSUPPORTED = {
    "playlist": [
        media.playlist("http://169.254.169.254/"),
        b"\xef\xbb\xbf\r\n#EXTM3U\n",
        b"[playlist]\nFile1=http://example.org/a.mp3\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"# a comment\nfile '/etc/passwd'\n",
        b"concat:/etc/passwd|/etc/hosts\n",
        b"subfile,,start,0,end,64,,:/etc/passwd\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\n",
        b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
        b"<smil><body><audio src='http://127.0.0.1/'/></body></smil>",
        b'<?xml version="1.0"?><playlist version="1"><trackList/></playlist>',
        b"<ASX version='3.0'><Entry/></ASX>",
        b"rtsp://127.0.0.1/stream\n",
        "#EXTM3U\nfile:///etc/passwd\n".encode("utf-16"),
    ],
    "image": [
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"RIFF\x00\x00\x01\x00WEBPVP8 ",
        b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">',
    ],
    "notes": [b"MThd\x00\x00\x00\x06"],
}
INVALID = {
    "empty": [b""],
    "text": [b"hello\n" * 50, json.dumps({"text": "see https://example.org"}).encode()],
    "ZIP": [b"PK\x03\x04\x14\x00"],
    "tar": [b"a.txt" + bytes(252) + b"ustar\x00"],
    "gzip": [b"\x1f\x8b\x08\x00"],
    "PDF": [b"%PDF-1.7\n%\xe2\xe3"],
    "program": [b"\x7fELF\x02\x01\x01"],
    "web page": [b"\n<!DOCTYPE html><html>#EXTM3U"],
    "no known kind": [
        bytes(64),
        bytes(range(256)),
        b"\x00",
        b"\xff\xfb\x90\x00garbage\x00\x01\x02",
    ],
}


def cases(table: Mapping[Any, Sequence[bytes]]) -> list[Any]:
    return [
        pytest.param(key, head, id=f"{key}-{index}")
        for key, heads in table.items()
        for index, head in enumerate(heads)
    ]


@pytest.mark.parametrize(("container", "head"), cases(HEADS))
def test_accepted(container, head):
    assert sniff(head) is container


@pytest.mark.parametrize(("named", "head"), cases(UNSUPPORTED))
def test_other_media_is_refused_by_name(named, head):
    with pytest.raises(MediaUnsupported, match=named) as refusal:
        sniff(head)
    assert ACCEPTED in refusal.value.message


@pytest.mark.parametrize(("named", "head"), cases(INVALID))
def test_what_is_no_media_is_refused_by_name(named, head):
    with pytest.raises(MediaInvalid, match=named):
        sniff(head)


def test_every_container_has_an_example():
    assert set(HEADS) == set(Container)
