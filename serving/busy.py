"""How long models were busy with the work in hand, from the engine to whoever keeps the account.

A batch's time is shared among its items. A replica sends an item's share back with the answer; on
the way it goes through context variables, so that nothing in between has to carry it.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

Answer = TypeVar("Answer")
Owner = TypeVar("Owner")
P = ParamSpec("P")


@dataclass(slots=True)
class BusySeconds:
    """Seconds by stage."""

    by_stage: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, seconds: float) -> None:
        """A model was busy for so long."""
        self.by_stage[stage] = self.by_stage.get(stage, 0.0) + seconds

    @property
    def total(self) -> float:
        """Of all stages."""
        return sum(self.by_stage.values())


@dataclass(frozen=True, slots=True)
class Served(Generic[Answer]):
    """An answer of a replica, and how long its model was busy with it."""

    answer: Answer
    busy_seconds: float


_account: ContextVar[BusySeconds | None] = ContextVar("busy", default=None)
_stage: ContextVar[str] = ContextVar("stage", default="")


@contextmanager
def counted() -> Iterator[BusySeconds]:
    """Count what the block, and all tasks that it starts, keep models busy."""
    account = BusySeconds()
    token = _account.set(account)
    try:
        yield account
    finally:
        _account.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What the block is about."""
    token = _stage.set(name)
    try:
        yield
    finally:
        _stage.reset(token)


def note(seconds: float) -> None:
    """A model was busy for so long for the work in hand; where nobody counts, nothing happens."""
    account = _account.get()
    if account is not None:
        account.add(_stage.get(), seconds)


@contextmanager
def timed() -> Iterator[None]:
    """Note how long the block takes: an engine that works for nobody else meanwhile."""
    started = time.monotonic()
    try:
        yield
    finally:
        note(time.monotonic() - started)


def served(
    method: Callable[Concatenate[Owner, P], Awaitable[Answer]],
) -> Callable[Concatenate[Owner, P], Awaitable[Served[Answer]]]:
    """A replica's method whose answer says how long the model was busy with it."""

    @wraps(method)
    async def call(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> Served[Answer]:
        with counted() as account:
            answer = await method(owner, *args, **kwargs)
        return Served(answer, account.total)

    return call


def taken(answer: Any) -> Any:
    """What a replica answered, its model's time noted."""
    if not isinstance(answer, Served):
        return answer
    note(answer.busy_seconds)
    return answer.answer
