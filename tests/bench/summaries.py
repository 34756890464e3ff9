"""Summaries of very long transcripts: what comes out again of what was planted, and what it takes.

`python -m tests.bench summaries [CONTEXT ...]`: ten hours of real calls with 40 facts and 25 tasks
planted, by the fake model, which is about the map and the reduce and not about a model; each
context in a process of its own, so that its peak is its own.

`python -m tests.bench summaries --model MODEL [--provider vllm --base-url URL] [--minutes 15]`: the
same of a shorter transcript by a real model; `--provider local` asks that of the running service.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import SecretStr

from cluster.settings import LlmProvider, Settings
from db.models import ContentType
from pipelines.language.base import Work
from pipelines.language.prompts import SYSTEM
from pipelines.language.summarize import summarize
from serving.language import LlmConnection
from serving.ports import LanguageModel
from serving.providers.connect import connect
from tests.bench.tables import table
from tests.fixtures.calls import strung_together
from tests.fixtures.language import Memory, Told, Watched, fake_model
from tests.fixtures.planted import Garden, covered, planted

HOURS, FACTS, TASKS = 10.0, 40, 25
CONTEXTS = (2048, 8192, 32768)
KINDS = ("summary", "notes", "merged", "final")
AT_A_TIME = 4


@dataclass(frozen=True)
class Figures:
    """What one summary took, and what it has."""

    context: int
    method: str
    sections: int
    rounds: int
    calls: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    largest: int
    """Tokens of the largest prompt and the room for its answer together."""
    seconds: float
    facts: str
    facts_in_place: str
    tasks: str
    tasks_in_place: str
    topics: int
    action_items: int
    characters: int
    """Of the document."""
    missing: list[str]
    peak_mib: float = 0.0


def garden(minutes: float, facts: int, tasks: int) -> Garden:
    """So much of the calls, planted."""
    return planted(strung_together(minutes / 60), facts, tasks)


async def measure(model: LanguageModel, planted_in: Garden) -> Figures:
    """Summarise, with any model."""
    watched = Watched(model)
    places = asyncio.Semaphore(AT_A_TIME)

    @asynccontextmanager
    async def slot() -> AsyncIterator[None]:
        async with places:
            yield

    work = Work(watched, slot, Memory(), Told())
    started = time.perf_counter()
    made = await summarize(planted_in.conversation, SYSTEM[ContentType.meeting], "en", work)
    seconds = time.perf_counter() - started
    found = covered(planted_in, made.content, made.sections)
    facts, tasks = len(planted_in.facts), len(planted_in.tasks)
    asked = zip(watched.answers, watched.requests, strict=True)
    return Figures(
        context=model.connection.context_tokens,
        method=made.method,
        sections=len(made.sections),
        rounds=made.content.metadata.merge_rounds,
        calls=dict(Counter(str(one.schema["title"]) for one in watched.requests if one.schema)),
        prompt_tokens=made.usage.prompt_tokens,
        completion_tokens=made.usage.completion_tokens,
        largest=max(answer.usage.prompt_tokens + one.max_tokens for answer, one in asked),
        seconds=round(seconds, 2),
        facts=f"{found.facts}/{facts}",
        facts_in_place=f"{found.facts_in_place}/{facts}",
        tasks=f"{found.tasks}/{tasks}",
        tasks_in_place=f"{found.tasks_in_place}/{tasks}",
        topics=len(made.content.major_topics),
        action_items=len(made.content.action_items),
        characters=len(made.content.searchable),
        missing=[one.text for one in found.missing],
    )


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(context: int, answer: Any) -> None:
    """One context, in a process of its own."""
    planted_in = garden(HOURS * 60, FACTS, TASKS)
    # What is imported when it is first needed is no summary's.
    asyncio.run(measure(fake_model(context), garden(5, 1, 1)))
    before = peak_mib()
    found = asyncio.run(measure(fake_model(context), planted_in))
    answer.put({**asdict(found), "peak_mib": round(peak_mib() - before, 1)})


def in_a_process(context: int) -> Figures:
    spawn = multiprocessing.get_context("spawn")
    answer = spawn.Queue()
    process = spawn.Process(target=alone, args=(context, answer))
    process.start()
    found = Figures(**answer.get())
    process.join()
    return found


def show(figures: Sequence[Figures]) -> None:
    """Print the table, and all of it as JSON."""
    header = "context|way|sections|rounds|calls: " + ", ".join(KINDS)
    header += "|prompt tokens|answer tokens|largest prompt + answer|seconds|more memory, MiB"
    header += "|facts|in their section|tasks|in their section|topics|action items|characters"
    rows = [
        (
            one.context,
            one.method,
            one.sections,
            one.rounds,
            ", ".join(str(one.calls.get(kind, 0)) for kind in KINDS),
            f"{one.prompt_tokens:,}",
            f"{one.completion_tokens:,}",
            one.largest,
            one.seconds,
            f"{one.peak_mib:.0f}",
            one.facts,
            one.facts_in_place,
            one.tasks,
            one.tasks_in_place,
            one.topics,
            one.action_items,
            f"{one.characters:,}",
        )
        for one in figures
    ]
    print(table(header.split("|"), rows))
    print(json.dumps([asdict(one) for one in figures], indent=2))


def real_model(options: argparse.Namespace) -> LanguageModel:
    """The model that was asked for."""
    settings = Settings()
    key = os.environ.get(options.api_key_variable)
    connection = LlmConnection(
        LlmProvider(options.provider),
        options.model,
        options.context,
        options.base_url,
        SecretStr(key) if key else None,
        options.temperature,
    )
    return connect(connection, settings.egress, settings.language, local=local_handle(options))


def local_handle(options: argparse.Namespace) -> Any:
    """The handle of the running service's model, where that is meant."""
    if options.provider != LlmProvider.local:
        return None
    from ray import serve

    return serve.get_deployment_handle("LanguageModel", "language")


async def with_model(options: argparse.Namespace) -> Figures:
    """The figures of a shorter transcript."""
    model = real_model(options)
    try:
        facts, tasks = options.facts, options.tasks
        return await measure(model, garden(options.minutes, facts, tasks))
    finally:
        await model.close()


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench summaries")
    parser.add_argument("contexts", nargs="*", type=int, default=list(CONTEXTS))
    parser.add_argument("--model", help="a real model, of this name")
    parser.add_argument("--provider", default="vllm", choices=[one.value for one in LlmProvider])
    parser.add_argument("--base-url")
    parser.add_argument("--api-key-variable", default="RAYSCRIBE_BENCH_API_KEY")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--facts", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=5)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    options = parsed(arguments)
    if options.model:
        show([asyncio.run(with_model(options))])
    else:
        show([in_a_process(context) for context in options.contexts])
