"""What a task used, on its way into the ledger; and what that costs."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import PriceSettings
from db.models import Task, UsageMeasure
from db.queries import usage
from db.queries.usage import Amount
from pipelines.stages.base import Models
from serving import busy
from serving.busy import BusySeconds
from serving.language import TokenUsage

HOUR = 3600.0
MILLION = 1_000_000.0


@dataclass(slots=True)
class Account:
    """What the attempt in hand has used so far."""

    models: Mapping[str, str] = field(default_factory=dict)
    """By stage, whose time it is."""
    busy: BusySeconds = field(default_factory=BusySeconds)
    audio_seconds: float = 0.0
    """Of the transcript that it publishes."""
    tokens: dict[tuple[str, str, str], TokenUsage] = field(default_factory=dict)
    """Of language models, by stage, provider and model."""

    def amounts(self, busy_seconds: Mapping[str, float]) -> list[Amount]:
        """Lines of the ledger, with the model seconds of all attempts; what is nothing has none."""
        lines = [Amount(UsageMeasure.audio_seconds, self.audio_seconds)]
        lines += [
            Amount(UsageMeasure.model_seconds, seconds, stage, self.models.get(stage, ""))
            for stage, seconds in busy_seconds.items()
        ]
        for (stage, _, model), used in self.tokens.items():
            lines += [
                Amount(UsageMeasure.prompt_tokens, used.prompt_tokens, stage, model),
                Amount(UsageMeasure.completion_tokens, used.completion_tokens, stage, model),
                Amount(UsageMeasure.calls, used.calls, stage, model),
            ]
        return [line for line in lines if line.amount > 0]


_account: ContextVar[Account | None] = ContextVar("account", default=None)


@contextmanager
def kept(models: Models) -> Iterator[Account]:
    """The account of an attempt: what is used in the block is noted in it."""
    account = Account(models_by_stage(models))
    token = _account.set(account)
    try:
        with busy.counted() as account.busy:
            yield account
    finally:
        _account.reset(token)


def current() -> Account:
    """The account of the attempt in hand; outside one, an empty one that nobody reads."""
    return _account.get() or Account()


def carried(task: Task) -> dict[str, float]:
    """What models were busy for a task until now: what goes on is made of what was kept."""
    busy_seconds = dict(task.busy_seconds)
    for stage, seconds in current().busy.by_stage.items():
        busy_seconds[stage] = round(busy_seconds.get(stage, 0.0) + seconds, 6)
    return busy_seconds


async def publish(session: AsyncSession, task: Task) -> None:
    """Write the account down, in the transaction that completes the task."""
    await usage.add(session, task, current().amounts(carried(task)))


def models_by_stage(models: Models) -> dict[str, str]:
    """Whose time a stage takes."""
    return {
        "transcribe": models.whisper,
        "align": models.alignment,
        "diarize": models.diarization,
        "embed": models.embedding,
    }


def cost(amounts: Iterable[Amount], prices: PriceSettings) -> float:
    """What they cost, in the currency of the prices."""
    return round(sum(one_cost(one, prices) for one in amounts), 6)


def one_cost(one: Amount, prices: PriceSettings) -> float:
    """What a line costs."""
    match one.measure:
        case UsageMeasure.audio_seconds:
            return one.amount / HOUR * prices.audio_hour
        case UsageMeasure.model_seconds:
            return one.amount / HOUR * prices.model_hour(one.stage)
        case UsageMeasure.prompt_tokens:
            return one.amount / MILLION * prices.tokens(one.model)[0]
        case UsageMeasure.completion_tokens:
            return one.amount / MILLION * prices.tokens(one.model)[1]
        case UsageMeasure.calls:
            return 0.0
