"""A recording through the product's own plan and engines, in this process, without stores."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from cluster.settings import Settings
from pipelines import online
from pipelines.pace import Pace
from pipelines.plan import plan
from pipelines.stages.base import Context, Models, Options, Recording
from serving.arguments import SpeechArguments, speech_arguments
from serving.inprocess import create_ports
from serving.ports import Ports
from serving.speech import SAMPLE_RATE, Pcm
from tests.fixtures.media import MediaServer


class MemoryAudio:
    """Blocks in a list: a bench measures engines, not the object store."""

    def __init__(self) -> None:
        self._blocks: list[Pcm] = []

    async def write(self, index: int, block: Pcm) -> None:
        assert index == len(self._blocks)
        self._blocks.append(block)

    async def complete(self, _seconds: float) -> bool:
        return False

    async def read(self, start: float, end: float) -> Pcm:
        audio = np.concatenate(self._blocks)
        return audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


class NoCheckpoints:
    """Nothing is kept."""

    async def load(self, _stage: str, _fingerprint: str) -> Mapping[int, bytes]:
        return {}

    async def save(self, _stage: str, _fingerprint: str, _part: int, _data: bytes) -> None:
        return None


@asynccontextmanager
async def no_limit(stage: str) -> AsyncIterator[None]:
    yield


def silent(stage: str, done: float, total: float) -> None:
    return None


def load() -> tuple[SpeechArguments, Ports]:
    """The CPU default's engines, loaded."""
    arguments = speech_arguments(Settings(), 0)
    return arguments, create_ports(arguments)


def transcribe(
    arguments: SpeechArguments,
    ports: Ports,
    server: MediaServer,
    path: Path,
    options: Options | None = None,
) -> Recording:
    """What the product makes of a file."""
    models = Models(
        arguments.whisper_model,
        arguments.diarization_model,
        arguments.alignment_model,
        arguments.beam_size,
        arguments.embedding_model,
        arguments.segmentation_step_seconds,
    )
    context = Context(
        ports, models, MemoryAudio(), NoCheckpoints(), silent, Pace(600, 10), no_limit
    )
    chosen = options or Options()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    recording = Recording(digest, server.source(path), chosen)
    return asyncio.run(online.run(recording, plan(chosen), context))
