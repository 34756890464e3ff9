"""What a task used, as lines of the ledger, and what they cost."""

import asyncio

import pytest

from cluster.settings import PriceSettings
from db.models import UsageMeasure
from db.queries.usage import Amount
from pipelines import usage
from pipelines.stages.base import Models
from serving import busy
from serving.language import TokenUsage

MODELS = Models("base", "segmentation", "ctc", 1, "campplus")
PRICES = PriceSettings(
    audio_hour=0.5,
    model_hours={"transcribe": 3.6, "*": 1.8},
    million_tokens={"small": (1.0, 4.0)},
)


def test_an_account_as_lines():
    with usage.kept(MODELS) as account:
        account.audio_seconds = 90.0
        with busy.stage("transcribe"):
            busy.note(2.0)
        with busy.stage("prepare"):
            busy.note(0.0)
        account.tokens["summarize", "openai", "small"] = TokenUsage(10, 20, 1)
        assert usage.current() is account
    assert account.amounts({**account.busy.by_stage, "align": 0.0}) == [
        Amount(UsageMeasure.audio_seconds, 90.0),
        Amount(UsageMeasure.model_seconds, 2.0, "transcribe", "base"),
        Amount(UsageMeasure.prompt_tokens, 10, "summarize", "small"),
        Amount(UsageMeasure.completion_tokens, 20, "summarize", "small"),
        Amount(UsageMeasure.calls, 1, "summarize", "small"),
    ]


def test_outside_an_attempt_nothing_is_kept():
    usage.current().audio_seconds = 5.0
    assert usage.current().amounts({}) == []


async def test_attempts_beside_each_other_have_accounts_of_their_own():
    async def attempt(seconds: float) -> list[Amount]:
        with usage.kept(MODELS):
            await asyncio.sleep(0)
            usage.current().audio_seconds = seconds
            await asyncio.sleep(0)
            return usage.current().amounts({})

    found = await asyncio.gather(attempt(1.0), attempt(2.0))
    assert [[line.amount for line in lines] for lines in found] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("line", "cost"),
    [
        (Amount(UsageMeasure.audio_seconds, 7200.0), 1.0),
        (Amount(UsageMeasure.model_seconds, 1000.0, "transcribe", "base"), 1.0),
        (Amount(UsageMeasure.model_seconds, 1000.0, "align", "ctc"), 0.5),
        (Amount(UsageMeasure.prompt_tokens, 2_000_000, "summarize", "small"), 2.0),
        (Amount(UsageMeasure.completion_tokens, 500_000, "summarize", "small"), 2.0),
        (Amount(UsageMeasure.prompt_tokens, 2_000_000, "summarize", "another"), 0.0),
        (Amount(UsageMeasure.calls, 1_000, "summarize", "small"), 0.0),
    ],
)
def test_what_a_line_costs(line: Amount, cost: float):
    assert usage.one_cost(line, PRICES) == pytest.approx(cost)


def test_without_prices_nothing_costs_anything():
    lines = [Amount(measure, 1e6, "transcribe", "small") for measure in UsageMeasure]
    assert usage.cost(lines, PriceSettings()) == 0
