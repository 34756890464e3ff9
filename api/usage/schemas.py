"""Answers about use and cost."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, documented
from cluster.settings import PriceSettings
from db.models import UsageMeasure
from db.queries.usage import Amount
from pipelines import usage


class TokensUsed(BaseModel):
    """Tokens of a language model."""

    model: str
    """The model, as its provider calls it."""
    prompt_tokens: int
    """Tokens that it was asked with."""
    completion_tokens: int
    """Tokens that it answered."""
    calls: int
    """How often it was asked."""

    model_config = documented(
        {"model": "gpt-5-mini", "prompt_tokens": 9100, "completion_tokens": 850, "calls": 4}
    )


EXAMPLE: dict[str, Any] = {
    "audio_seconds": 5430.5,
    "model_seconds": {"transcribe": 61.2, "diarize": 44.8, "align": 12.1},
    "tokens": [
        {"model": "gpt-5-mini", "prompt_tokens": 9100, "completion_tokens": 850, "calls": 4}
    ],
    "cost": 0.52,
    "currency": "EUR",
}


class Usage(BaseModel):
    """What was used by tasks that were completed."""

    audio_seconds: float
    """Audio whose transcripts were published; computed anew, it counts again."""
    model_seconds: Mapping[str, float]
    """Seconds that models were busy, by stage: a batch's time is shared among its items."""
    tokens: Sequence[TokensUsed]
    """Tokens of language models, by model."""
    cost: float
    """What that costs by the installation's prices (`RAYSCRIBE_PRICE_…`): 0 unless set."""
    currency: str
    """Of the cost (ISO 4217)."""

    model_config = documented(EXAMPLE)

    @classmethod
    def of(cls, amounts: Sequence[Amount], prices: PriceSettings, **more: Any) -> Self:
        """From sums of the ledger."""
        return cls(
            audio_seconds=_sum(amounts, UsageMeasure.audio_seconds),
            model_seconds=_by_stage(amounts),
            tokens=_by_model(amounts),
            cost=usage.cost(amounts, prices),
            currency=prices.currency,
            **more,
        )


class UserUsage(Usage):
    """The same of a user."""

    user_id: uuid.UUID
    """Whose it is."""
    email: str | None
    """The account's address; null: the account is gone."""

    model_config = documented({**EXAMPLE, "user_id": EXAMPLE_ID, "email": "ann@example.org"})


class UsageLine(BaseModel):
    """A line of an export: one measure of one user."""

    user_id: uuid.UUID
    """Whose it is."""
    email: str | None
    """The account's address; null: the account is gone."""
    measure: UsageMeasure
    """What is counted."""
    stage: str
    """Of which stage; empty: of the task as a whole."""
    model: str
    """Of which model; empty: of none."""
    amount: float
    """How much."""
    cost: float
    """What that costs."""
    currency: str
    """Of the cost."""

    model_config = documented(
        {
            "user_id": EXAMPLE_ID,
            "email": "ann@example.org",
            "measure": "model_seconds",
            "stage": "transcribe",
            "model": "base",
            "amount": 61.2,
            "cost": 0.01,
            "currency": "EUR",
        }
    )


def _sum(amounts: Sequence[Amount], measure: UsageMeasure) -> float:
    return round(sum(one.amount for one in amounts if one.measure is measure), 3)


def _by_stage(amounts: Sequence[Amount]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in amounts:
        if one.measure is UsageMeasure.model_seconds:
            found[one.stage] = round(found.get(one.stage, 0.0) + one.amount, 3)
    return found


def _by_model(amounts: Sequence[Amount]) -> list[TokensUsed]:
    counted = (UsageMeasure.prompt_tokens, UsageMeasure.completion_tokens, UsageMeasure.calls)
    found: dict[str, dict[str, int]] = {}
    for one in amounts:
        if one.measure in counted:
            model = found.setdefault(one.model, dict.fromkeys(map(str, counted), 0))
            model[one.measure] += int(one.amount)
    return [TokensUsed(model=model, **tokens) for model, tokens in sorted(found.items())]
