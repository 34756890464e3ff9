"""A peer works through recordings in a process of its own, with its own default threads.

`python -m tests.bench.peer_process KIND WORKERS`, KIND `whisperx` or `worker`: reads a line
of JSON with paths, works through them, WORKERS files at a time, and answers with a line of JSON:
wall and CPU seconds, and what was found in each file. Until there are no more lines.
"""

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.bench.peer import (
    Listener,
    Reading,
    WhisperX,
    WholeFile,
    Worker,
    aligner,
    plain_pipeline,
)

WHISPERX_THREADS = 4
"""What `whisperx.load_model` takes when it is not told."""


class Process:
    """The peer with its models loaded: once, whatever comes."""

    def __init__(self, kind: str, workers: int) -> None:
        import torch

        from cluster.settings import Settings
        from serving.arguments import speech_arguments

        self._threads = torch.get_num_threads()
        self._arguments = speech_arguments(Settings(), torch.cuda.device_count())
        self._whisper: Listener = (
            WhisperX(self._arguments, WHISPERX_THREADS)
            if kind == "whisperx"
            else Worker(self._arguments, max(1, self._threads // workers), workers)
        )
        self._pool = ThreadPoolExecutor(workers)
        # Whisper is shared; what keeps state is each worker's own.
        self._idle: SimpleQueue[WholeFile] = SimpleQueue()
        for _ in range(workers):
            pipeline = plain_pipeline(self._arguments, self._threads)
            self._idle.put(WholeFile(self._whisper, pipeline, aligner()))

    def work(self, paths: list[str]) -> dict[str, Any]:
        """Wall and CPU seconds of these files, and what was found in each."""
        started, before = time.perf_counter(), cpu_seconds()
        readings = list(self._pool.map(self._read, paths))
        return {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": cpu_seconds() - before,
            "readings": [asdict(reading) for reading in readings],
        }

    def _read(self, path: str) -> Reading:
        file = self._idle.get()
        try:
            return file.read(Path(path))
        finally:
            self._idle.put(file)


def cpu_seconds() -> float:
    """Of this process and the programs that it ran."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Answer line by line; what models print goes to standard error."""
    answers, sys.stdout = sys.stdout, sys.stderr
    kind, workers = sys.argv[1:3]
    process = Process(kind, int(workers))
    for line in sys.stdin:
        print(json.dumps(process.work(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
