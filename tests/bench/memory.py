"""Peak memory of every process of the service while large things pass through it.

`python -m tests.bench memory [HOURS]`: a recording of HOURS (2), a 2 GB upload in parts, and a
10 GB body thrown at the direct route. Resident set size, sampled twice a second.
"""

import http.client
import math
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from rayscribe.api_client import ApiClient
from rayscribe.bootstrap import load_credential
from tests.bench.tables import table
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack
from tests.models.recordings import librivox

MIB = 1024 * 1024
NAMES = {
    "ProxyActor": "Serve proxy",
    "ServeReplica:api:Api": "Api",
    "ServeReplica:pipelines:Runner": "Runner",
    "ServeReplica:pipelines:Preparer": "Preparer",
    "ServeReplica:pipelines:Transcriber": "Transcriber",
    "ServeReplica:pipelines:Aligner": "Aligner",
    "ServeReplica:pipelines:SpeakerSegmenter": "SpeakerSegmenter",
    "ServeReplica:pipelines:SpeakerEmbedder": "SpeakerEmbedder",
    "ServeReplica:pipelines:SpeakerClusterer": "SpeakerClusterer",
    "ServeReplica:pipelines:TextEmbedder": "TextEmbedder",
}
SAMPLE_SECONDS = 0.5


class Watch:
    """The largest resident set of each process, phase by phase."""

    def __init__(self, stack: Stack, names: Mapping[str, str] = NAMES) -> None:
        self._stack = stack
        self._names = names
        self.peaks: dict[str, dict[str, int]] = {}
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure while the block runs."""
        peaks = self.peaks.setdefault(name, dict.fromkeys(self._names.values(), 0))
        over = threading.Event()

        def sample_all() -> None:
            last = False
            while not last:
                last = over.wait(SAMPLE_SECONDS)
                for word, label in self._names.items():
                    for process in self._stack.processes(word):
                        try:
                            peaks[label] = max(peaks[label], process.memory_info().rss)
                        except psutil.NoSuchProcess:
                            continue

        thread = threading.Thread(target=sample_all)
        thread.start()
        started = time.perf_counter()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.seconds[name] = time.perf_counter() - started
            print(name, f"{self.seconds[name]:.0f} s", peaks, flush=True)

    def show(self) -> None:
        """Print MiB by process and phase."""
        phases = list(self.peaks)
        rows = [
            (label, *(f"{self.peaks[phase][label] / MIB:.0f}" for phase in phases))
            for label in NAMES.values()
        ]
        rows.append(("seconds", *(f"{self.seconds[phase]:.0f}" for phase in phases)))
        print(table(["peak MiB", *phases], rows))


def recording(folder: Path, hours: float) -> Path:
    """Telephone and LibriVox speech again and again."""
    clips = [sample(), *(clip.path for clip in librivox())]
    listing = folder / "clips.txt"
    listing.write_text("".join(f"file '{clip}'\n" for clip in clips) * math.ceil(hours * 3600 / 50))
    target = folder / f"{hours:g}h.flac"
    command = ["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(listing)]
    command += ["-t", f"{hours * 3600:.0f}", "-ar", "16000", "-ac", "1", str(target)]
    subprocess.run(command, check=True)
    return target


def silent_wav(folder: Path, size: int) -> Path:
    """A sparse WAV of `size` bytes: eight channels of 32-bit silence at 96 kHz."""
    path = folder / "large.wav"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=96000:cl=7.1"]
    command += ["-t", "1", "-c:a", "pcm_s32le", "-bitexact", str(path)]
    subprocess.run(command, check=True)
    header = bytearray(path.read_bytes()[:512])
    at = header.index(b"data")
    header[4:8] = (size - 8).to_bytes(4, "little")
    header[at + 4 : at + 8] = (size - at - 8).to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(header[: at + 8])
        file.truncate(size)
    return path


def transcribe(client: ApiClient, path: Path) -> None:
    """Upload and wait for the end."""
    job = client.submit(path, {"language": "en"}, lambda *_: None)
    assert job.task_id
    shown = 0.0
    for task in client.follow(job.task_id):
        if task["progress"] > shown + 0.05:
            shown = task["progress"]
            print(f"  {task['stage']} {shown:.0%}", flush=True)
    assert task["state"] == "completed", task


def throw(stack: Stack, size: int) -> None:
    """Send a body of `size` bytes to the direct route until the service closes the door."""
    with stack.client() as client:
        authorization = client.headers["Authorization"]
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    connection.putrequest("POST", "/api/files/upload")
    connection.putheader("Authorization", authorization)
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    sent = 0
    try:
        while sent < size:
            connection.send(bytes(MIB))
            sent += MIB
    except (BrokenPipeError, ConnectionResetError):
        print(f"  the door closed after {sent / MIB:.0f} MiB", flush=True)


def main(arguments: list[str]) -> None:
    """Print the table."""
    hours = float(arguments[0]) if arguments else 2.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(folder / "stack", engines="real")
        stack.up()
        watch = Watch(stack)
        client = ApiClient(stack.url, None, load_credential(stack.data_dir))
        try:
            with watch.phase("one short recording"):
                transcribe(client, recording(folder, 0.02))
            with watch.phase("10 GB at the direct route"):
                throw(stack, 10 * 1024 * MIB)
            with watch.phase("2 GB upload in parts"):
                transcribe(client, silent_wav(folder, 2 * 1024 * MIB))
            with watch.phase(f"{hours:g} h recording"):
                transcribe(client, recording(folder, hours))
        finally:
            watch.show()
            stack.down()
