"""The language model inside the cluster, real, through the API: seconds, tokens, memory, batching.

`python -m tests.bench language_model` (after `make llm`): the bundled sample; a whole earnings
call of the shared folder; then four parts of calls one after the other, and four others at once.
No text is summarised twice, since vLLM remembers the beginnings of prompts.
"""

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cluster.embedded.installation import Installation
from cluster.settings import DatabaseSettings
from db.engine import create_engine, create_sessions, session_scope
from db.models import FileStatus, MediaFile, Segment, Speaker, Transcript, User
from db.queries import users
from pipelines.language.base import Utterance
from pipelines.language.bluf import Bluf
from rayscribe.api_client import ApiClient, ApiFailure
from rayscribe.bootstrap import ADMIN_EMAIL, load_credential
from tests.bench.memory import Watch
from tests.bench.tables import table
from tests.fixtures.calls import call_files, read_call
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

NAMES = {
    "VLLM::Worker": "weights and cache",
    "VLLM::EngineCore": "engine",
    "ServeReplica:language:LanguageModel": "replica",
}
CALL = "4474955"
"""The shortest: 14 minutes, 1,900 words, 5 speakers."""
PART_SECONDS = 90
AT_ONCE = 4
MIB = 1024 * 1024


class Bench:
    """A running service, and its signed-in administrator."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = ApiClient(stack.url, None, load_credential(stack.data_dir))
        self.rows: list[tuple[object, ...]] = []

    def nothing_by_itself(self) -> None:
        """What is measured has the model for itself."""
        wishes = {"enabled": False, "speakers": False, "topics": False}
        answer = self.client._ask("PUT", "/api/user-settings/ai-summary", json=wishes)
        answer.raise_for_status()

    def summarised(self, files: Sequence[str], *, at_once: bool) -> float:
        """Seconds until all these files have a summary."""
        started = time.perf_counter()
        if at_once:
            for task in [self.client.summarize(file_id) for file_id in files]:
                self.end(task)
        else:
            for file_id in files:
                self.end(self.client.summarize(file_id))
        return time.perf_counter() - started

    def end(self, task: Mapping[str, Any]) -> None:
        """Wait for a task's end."""
        [*_, last] = self.client.follow(task["id"])
        if last["state"] != "completed":
            raise ApiFailure(f"{last['state']}: {last['error_message']}")

    def note(self, what: str, file_id: str) -> None:
        """Keep a summary's figures, and show what it says."""
        found = self.client.summary(file_id)
        content = Bluf.model_validate(found["content"])
        written, seconds = found["completion_tokens"], found["seconds"]
        self.rows.append(
            (
                what,
                len(found["sections"]),
                found["calls"],
                found["prompt_tokens"],
                written,
                f"{seconds:.0f}",
                f"{written / seconds:.1f}",
                f"{(found['prompt_tokens'] + written) / seconds:.0f}",
                f"{len(content.major_topics)} / {len(content.action_items)}",
            )
        )
        print(f"{what}: {self.rows[-1]}\n  {content.bluf}\n  {content.brief_summary}\n", flush=True)


def part(call: Path, number: int) -> list[Utterance]:
    """A minute and a half of a call."""
    start = number * PART_SECONDS
    return [one for one in read_call(call) if start <= one.start < start + PART_SECONDS]


def stored(stack: Stack, utterances: Sequence[Utterance], name: str) -> str:
    """The id of a file with this transcript, which nobody recorded here."""
    return asyncio.run(_stored(stack, utterances, name))


async def _stored(stack: Stack, utterances: Sequence[Utterance], name: str) -> str:
    url = Installation(stack.data_dir).environment()["DATABASE_URL"]
    engine = create_engine(DatabaseSettings(url=SecretStr(url)))
    try:
        async with session_scope(create_sessions(engine)) as session:
            owner = await users.by_email(session, ADMIN_EMAIL)
            file, rows = _rows(owner, utterances, name)
            session.add(file)
            await session.flush()
            for group in rows:
                session.add_all(group)
                await session.flush()
            return str(file.id)
    finally:
        await engine.dispose()


def _rows(
    owner: User, utterances: Sequence[Utterance], name: str
) -> tuple[MediaFile, Sequence[Sequence[Any]]]:
    file = MediaFile(
        id=uuid.uuid4(),
        user_id=owner.id,
        filename=name,
        content_type="audio/wav",
        size_bytes=1,
        sha256=uuid.uuid4().hex * 2,
        object_key=f"bench/{name}",
        status=FileStatus.completed,
        duration=utterances[-1].end,
        language="en",
    )
    labels = sorted({one.speaker for one in utterances})
    speakers = {
        label: Speaker(id=uuid.uuid4(), user_id=owner.id, media_file_id=file.id, label=label)
        for label in labels
    }
    transcript = Transcript(
        id=uuid.uuid4(),
        media_file_id=file.id,
        language="en",
        task="transcribe",
        diarization="done",
    )
    segments = [
        Segment(
            transcript_id=transcript.id,
            index=index,
            start=one.start,
            end=one.end,
            text=one.text,
            speaker_id=speakers[one.speaker].id,
        )
        for index, one in enumerate(utterances)
    ]
    return file, ([transcript, *speakers.values()], segments)


def the_sample(bench: Bench) -> None:
    """As `make run-llm` does it, but that nothing else is made of it at the same time."""
    job = bench.client.submit(sample(), {"language": "en"}, lambda *_: None)
    assert job.task_id
    [*_, last] = bench.client.follow(job.task_id)
    assert last["state"] == "completed", last
    bench.summarised([job.file_id], at_once=False)
    bench.note("the sample, 30 s", job.file_id)


def a_call(bench: Bench) -> None:
    """A whole call, in sections."""
    [path] = [path for path in call_files() if path.name.startswith(CALL)]
    file_id = stored(bench.stack, read_call(path), path.name)
    bench.summarised([file_id], at_once=False)
    bench.note(f"call {CALL}, 14 min", file_id)


def together(bench: Bench) -> str:
    """Four transcripts one after the other, four others at once."""
    calls = [path for path in call_files() if not path.name.startswith(CALL)]
    seconds = {}
    for at_once, number in ((False, 2), (True, 3)):
        files = [
            stored(bench.stack, part(path, number), f"{path.name}-{number}")
            for path in calls[:AT_ONCE]
        ]
        seconds[at_once] = bench.summarised(files, at_once=at_once)
        for path, file_id in zip(calls, files, strict=False):
            bench.note(f"90 s of {path.name[:7]}{', at once' if at_once else ''}", file_id)
    ratio = seconds[False] / seconds[True]
    return (
        f"four one after the other {seconds[False]:.0f} s, four others at once "
        f"{seconds[True]:.0f} s: ratio {ratio:.2f}"
    )


def main(arguments: list[str]) -> None:
    """Print the tables; names of phases choose among them."""
    phases = {"sample": the_sample, "call": a_call, "together": together}
    chosen = [phases[name] for name in arguments] or list(phases.values())
    with tempfile.TemporaryDirectory() as name:
        stack = Stack(Path(name), engines="real", environment={"RAYSCRIBE_LLM_LOCAL": "true"})
        stack.up()
        try:
            bench = Bench(stack)
            bench.nothing_by_itself()
            watch, said = Watch(stack, NAMES), []
            for phase in chosen:
                with watch.phase(phase.__name__):
                    said.append(phase(bench))
        finally:
            stack.down()
    header = "what|sections|calls|tokens read|written|seconds|written/s|read and written/s"
    print(table([*header.split("|"), "topics / tasks"], bench.rows))
    print("\n".join(filter(None, said)))
    peaks = {
        phase: {part: f"{size / MIB:.0f} MiB" for part, size in sizes.items()}
        for phase, sizes in watch.peaks.items()
    }
    print(json.dumps(peaks, indent=1))
