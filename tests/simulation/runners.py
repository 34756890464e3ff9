"""Simulated runners: pipelines.runner and pipelines.attempt in steps, any of which may be the last.

Every `yield` is a moment at which others act, and at which this one may be killed or fall silent;
its value is how long this one takes until then.
"""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from db.errors import FenceLost, StoreError, StoreUnavailable
from db.models import TaskState
from pipelines import task_state
from pipelines.attempt import Interruption
from pipelines.errors import IllegalTransition
from pipelines.task_state import TERMINAL, Failure, Step, is_suspect
from tests.simulation.bugs import Bug
from tests.simulation.invariants import IN_FLIGHT, MAX_ATTEMPTS, Checker, Reason
from tests.simulation.store import Found, Row, Store

Process = Generator[int, None, None]

MAX_TASKS = 2
BEAT = 3
POLL = 4
TIMED_OUT = Failure("store_unavailable", "A store of this service did not answer.", retryable=True)


class Interrupted(Exception):
    """An attempt is stopped, as a cancelled asyncio task is."""

    def __init__(self, why: Interruption) -> None:
        super().__init__(why)
        self.why = why


class ObjectsTimedOut(StoreError):
    """S3 did not answer."""


class Killed(Exception):
    """A file has killed the runner."""


@dataclass(slots=True, eq=False)
class Machine:
    """A process and when it goes on."""

    name: str
    process: Process
    ready_at: int
    runner: "Runner | None" = None
    interruption: Interruption | None = None
    """Thrown at its next step."""


@dataclass(slots=True, eq=False)
class Attempt:
    """A claim and the work on it."""

    row: Row
    fence: int
    suspect: bool = False
    machine: Machine | None = None
    interrupted: bool = False
    written: bool = False

    def interrupt(self, why: Interruption) -> None:
        """Stop the work; what is written down is only being cleaned up."""
        if not self.interrupted and not self.written and self.machine is not None:
            self.interrupted = True
            self.machine.interruption = why


@dataclass(slots=True, eq=False)
class Surroundings:
    """What runners work with."""

    store: Store
    checker: Checker
    rng: random.Random
    bug: Bug | None
    start: "Callable[[str, Process, Runner], Machine]"
    say: Callable[..., None]


@dataclass(slots=True, eq=False)
class Runner:
    """Claims and works until it is told to go, or is gone."""

    name: str
    around: Surroundings
    attempts: list[Attempt] = field(default_factory=list)
    draining: bool = False

    def claiming(self) -> Process:
        """Take tasks while there are places."""
        store, rng = self.around.store, self.around.rng
        while True:
            if len(self.attempts) >= MAX_TASKS:
                yield 2
                continue
            found = store.claiming
            if found is not None and not (store.faulty and rng.random() < 0.5):
                yield 1  # the clock's row is locked
                continue
            if found is not None:
                yield from self._claim_twice(found)
                continue
            found = store.claiming = store.find(
                has_suspect=any(attempt.suspect for attempt in self.attempts)
            )
            if found is None:
                yield POLL
                continue
            try:
                yield from self._claim(found)
            finally:
                # A runner that dies loses its locks.
                store.claiming = None
            yield rng.randrange(2)

    def _claim(self, found: Found) -> Process:
        found.rolled_back = True
        yield self.around.rng.randrange(3)
        found.rolled_back = not self._take(found)

    def _claim_twice(self, found: Found) -> Process:
        """Somebody else is about to take the same task."""
        yield self.around.rng.randrange(4)
        if self.around.store.claiming is found or not found.rolled_back:
            self._take(found)
        yield 1

    def _take(self, found: Found) -> bool:
        """Write the claim and begin; False: nothing was written."""
        row, step = found.seen.row, task_state.on_claim(found.seen, MAX_ATTEMPTS)
        try:
            self.around.store.claim(found, step)
        except FenceLost:
            self.around.say("%s finds %s taken by somebody else", self.name, row)
            return False
        except StoreUnavailable as error:
            self.around.say("%s claims %s: error %s", self.name, row, error)
            return row.fence == step.fence
        self.around.say("%s claims %s", self.name, row)
        if step.state is TaskState.running:
            attempt = Attempt(row, step.fence, is_suspect(found.seen, MAX_ATTEMPTS))
            self.attempts.append(attempt)
            name = f"{self.name}/{row.number}.{step.fence}"
            attempt.machine = self.around.start(name, self._working(attempt), self)
        return True

    def forget(self, machine: Machine) -> None:
        """An attempt is over that never began."""
        self.attempts = [attempt for attempt in self.attempts if attempt.machine is not machine]

    def beating(self) -> Process:
        """Renew the leases, and stop what is cancelled or lost."""
        while True:
            yield BEAT
            while any(self.around.store.locked(attempt.row) for attempt in self.attempts):
                yield 1
            attempts = list(self.attempts)
            if not attempts:
                continue
            try:
                states = self.around.store.heartbeat([(it.row, it.fence) for it in attempts])
            except StoreUnavailable as error:
                self.around.say("%s beats: error %s", self.name, error)
                continue
            yield self.around.rng.randrange(2)
            for attempt in attempts:
                state = states.get((attempt.row, attempt.fence))
                if state is None:
                    attempt.interrupt(Interruption.lost)
                elif state is TaskState.cancelling:
                    attempt.interrupt(Interruption.cancelled)

    def _working(self, attempt: Attempt) -> Process:
        say = self.around.say
        try:
            yield from self._until_written(attempt)
            attempt.written = True
            yield 1  # cleaning up
        except (StoreError, IllegalTransition, Interrupted) as error:
            say("%s leaves %s: %r", self.name, attempt.row, error)
        finally:
            self.attempts.remove(attempt)

    def _until_written(self, attempt: Attempt) -> Process:
        try:
            yield from self._run(attempt)
        except (FenceLost, IllegalTransition):
            yield from self._stopped(attempt)
        except Interrupted as interrupted:
            yield from self._interrupted(attempt, interrupted.why)
        except StoreError:
            yield from self._failed(attempt)

    def _run(self, attempt: Attempt) -> Process:
        store, rng, row = self.around.store, self.around.rng, attempt.row
        stored = set(store.checkpoints.get(row.file, ()))
        yield rng.randrange(2)
        missing = [window for window in range(row.windows) if window not in stored]
        while missing:
            batch, missing = missing[:IN_FLIGHT], missing[IN_FLIGHT:]
            for window in batch:
                there = window in store.checkpoints.get(row.file, ())
                self.around.checker.computing(row, attempt.fence, window, there)
            yield rng.randrange(1, 4)
            if row.poison:
                raise Killed
            for window in batch:
                if store.faulty and rng.random() < 0.02:
                    raise ObjectsTimedOut
                store.save(row, attempt.fence, window)
                yield rng.randrange(2)
            done = 1 - len(missing) / row.windows
            store.report(row, attempt.fence, done)
            self.around.say("%s has %.0f %% of %s", self.name, 100 * done, row)
            yield rng.randrange(2)
        seen = store.held(row, attempt.fence)
        if self.around.bug is Bug.success_of_cancelled:
            step = Step(TaskState.completed, seen.attempt, seen.fence)
        else:
            step = task_state.on_success(seen)
        yield rng.randrange(3)
        store.publish(seen, step, attempt.fence)
        self.around.say("%s publishes %s", self.name, row)
        yield 0

    def _interrupted(self, attempt: Attempt, why: Interruption) -> Process:
        self.around.say("%s stops %s: %s", self.name, attempt.row, why)
        match why:
            case Interruption.lost:
                raise FenceLost(attempt.row.number)
            case Interruption.cancelled:
                yield from self._stopped(attempt)
            case Interruption.drain:
                if self.around.bug is not Bug.drain_keeps_lease:
                    yield from self._release(attempt)
                self.around.checker.drained(attempt.row, attempt.fence)

    def _release(self, attempt: Attempt) -> Process:
        store = self.around.store
        seen = store.held(attempt.row, attempt.fence)
        if seen.state not in TERMINAL:
            step = task_state.on_drain(seen)
            yield self.around.rng.randrange(2)
            store.write(seen, step, Reason.drain, attempt.fence)

    def _stopped(self, attempt: Attempt) -> Process:
        store = self.around.store
        seen = store.held(attempt.row, attempt.fence)
        if seen.state is TaskState.cancelling:
            step = task_state.on_stopped(seen)
            yield self.around.rng.randrange(2)
            store.write(seen, step, Reason.stopped, attempt.fence)

    def _failed(self, attempt: Attempt) -> Process:
        store, rng = self.around.store, self.around.rng
        for pause in (1, 2, 4, 8, 0):
            try:
                seen = store.held(attempt.row, attempt.fence)
                if seen.state in TERMINAL:
                    return
                delay = 2.0 ** max(0, seen.attempt - 1)
                step = task_state.on_failure(seen, TIMED_OUT, MAX_ATTEMPTS, delay)
                yield rng.randrange(2)
                store.write(seen, step, Reason.failure, attempt.fence)
            except StoreUnavailable:
                if not pause:
                    raise
                yield pause
            else:
                self.around.say("%s fails %s", self.name, attempt.row)
                return
