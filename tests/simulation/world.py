"""A small installation with its users, its operator and its bad luck, all out of one seed."""

import random
import uuid
from dataclasses import dataclass

from db.errors import FenceLost, StoreUnavailable
from db.models import TaskState
from pipelines import task_state
from pipelines.attempt import Interruption
from pipelines.errors import IllegalTransition
from pipelines.schedule import LANES, Limits
from tests.simulation.bugs import Bug
from tests.simulation.invariants import Checker, Reason, Violation
from tests.simulation.runners import Interrupted, Killed, Machine, Process, Runner, Surroundings
from tests.simulation.store import EPOCH, HELD, LEASE, Row, Store, User

LIMITS = Limits(max_tasks_per_user=2, lane_patience=2)
FAULTY_STEPS = 200
"""Then faults stop, and every task has to come to its end."""
QUIET_STEPS = 4000
TASK_IDS = [uuid.UUID(int=number) for number in range(64)]
USER_IDS = [uuid.UUID(int=number) for number in range(64, 72)]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a seed."""

    steps: int
    tasks: int
    claims: int
    violation: str | None
    trace: list[str]


class World:
    """One run."""

    def __init__(
        self, seed: int, bug: Bug | None = None, *, tracing: bool = False, calm: bool = False
    ) -> None:
        """`calm`: nothing goes wrong but what files do."""
        self.rng = random.Random(seed)
        self.checker = Checker(LIMITS, LEASE)
        self.store = Store(self.rng, self.checker, LIMITS, bug)
        self.trace: list[str] = []
        self.steps = 0
        self._tracing = tracing
        self._calm = calm
        self.store.faulty = not calm
        self._around = Surroundings(self.store, self.checker, self.rng, bug, self._start, self._say)
        self._machines: list[Machine] = []
        self._runners: list[Runner] = []
        self._born = 0
        self._numbers = 0
        self._customers = 0
        """Users who have not yet submitted all they want to."""
        crowded = self.rng.random() < 0.25
        self._new_runners(self.rng.choice((2, 3)))
        for user_id in USER_IDS[: self.rng.choice((2, 3))]:
            user = User(user_id, self.rng.choice((1.0, 1.0, 2.0)))
            self._customers += 1
            self._start(f"user {user_id.int}", self._using(user, crowded), None)

    def run(self) -> Report:
        """Until all is done, or something is wrong."""
        try:
            self._run()
            self.checker.over()
        except Violation as violation:
            return self._report(str(violation))
        return self._report(None)

    def _report(self, violation: str | None) -> Report:
        count = len(self.store.rows)
        return Report(self.steps, count, self.checker.claims, violation, self.trace)

    def _run(self) -> None:
        store, choose = self.store, self.rng.random
        while not self._done():
            now = store.now
            ready = [machine for machine in self._machines if machine.ready_at <= now]
            if not ready:
                store.now = min(machine.ready_at for machine in self._machines)
                continue
            self._step(ready[int(choose() * len(ready))])
            self.steps += 1
            if self.steps < FAULTY_STEPS:
                if not self._calm and choose() < 0.04:
                    self._misfortune()
            elif self.steps == FAULTY_STEPS:
                store.faulty = False
            elif self.steps > FAULTY_STEPS + QUIET_STEPS:
                return

    def _done(self) -> bool:
        return (
            not self.checker.open
            and not self._customers
            and not any(runner.attempts for runner in self._runners)
        )

    def _step(self, machine: Machine) -> None:
        try:
            if machine.interruption is None:
                wait = machine.process.send(None)
            else:
                why, machine.interruption = machine.interruption, None
                wait = machine.process.throw(Interrupted(why))
        except StopIteration:
            self._remove(machine)
        except Interrupted:
            # Stopped before its first step, like an asyncio task: none of its code has run.
            if machine.runner is not None:
                machine.runner.forget(machine)
            self._remove(machine)
        except Killed:
            self._remove(machine)
            self._kill(machine.runner)
        else:
            machine.ready_at = self.store.now + wait

    def _remove(self, machine: Machine) -> None:
        if machine in self._machines:
            self._machines.remove(machine)
        runner = machine.runner
        if runner is not None and runner.draining and not runner.attempts:
            self._kill(runner)

    # Runners come and go.

    def _start(self, name: str, process: Process, runner: Runner | None) -> Machine:
        machine = Machine(name, process, self.store.now, runner)
        self._machines.append(machine)
        return machine

    def _new_runners(self, count: int) -> None:
        for _ in range(count):
            self._born += 1
            runner = Runner(f"runner {self._born}", self._around)
            self._runners.append(runner)
            self._start(f"{runner.name} claims", runner.claiming(), runner)
            self._start(f"{runner.name} beats", runner.beating(), runner)

    def _kill(self, runner: Runner | None) -> None:
        """Nothing of it goes on; another one is started."""
        if runner is None or runner not in self._runners:
            return
        self._say("%s is gone", runner.name)
        self._runners.remove(runner)
        gone = [machine for machine in self._machines if machine.runner is runner]
        self._machines = [machine for machine in self._machines if machine.runner is not runner]
        for machine in gone:
            machine.process.close()
        self._new_runners(1)

    def _stall(self, runner: Runner) -> None:
        """It stands still, perhaps for longer than its leases last, and then goes on."""
        until = self.store.now + self.rng.randrange(LEASE // 2, 3 * LEASE)
        self._say("%s stands still until %d", runner.name, until)
        for machine in self._machines:
            if machine.runner is runner:
                machine.ready_at = max(machine.ready_at, until)

    def _drain(self, runner: Runner) -> None:
        """It claims no more and gives back what it has."""
        if runner.draining:
            return
        self._say("%s is told to go", runner.name)
        runner.draining = True
        for machine in [it for it in self._machines if it.runner is runner]:
            if not any(attempt.machine is machine for attempt in runner.attempts):
                self._machines.remove(machine)
                machine.process.close()
        for attempt in runner.attempts:
            attempt.interrupt(Interruption.drain)
        if not runner.attempts:
            self._kill(runner)

    def _misfortune(self) -> None:
        """A kill, a silence, a drain, or an operator."""
        rng = self.rng
        runner = rng.choice(self._runners)
        luck = rng.random()
        if luck < 0.35:
            self._kill(runner)
        elif luck < 0.65:
            self._stall(runner)
        elif luck < 0.85:
            self._drain(runner)
        elif held := [row for row in self.store.rows if row.state in HELD]:
            self._start("operator", self._recovering(rng.choice(held)), None)

    # People.

    def _using(self, user: User, crowded: bool) -> Process:
        rng = self.rng
        for _ in range(rng.choice((4, 5)) if crowded else rng.choice((1, 2))):
            yield rng.randrange(2 if crowded else 6)
            row = self._row(user, self._numbers, crowded)
            yield from self._submit(row)
        self._customers -= 1

    def _row(self, user: User, file: int, crowded: bool) -> Row:
        rng, number = self.rng, self._numbers
        self._numbers += 1
        return Row(
            number=number,
            task_id=TASK_IDS[number],
            user=user,
            file=file,
            lane=rng.choice(LANES),
            audio_seconds=rng.choice((5.0, 60.0, 600.0)),
            created_at=EPOCH,
            windows=rng.randrange(1, 3 if crowded else 6),
            run_after=0,
            poison=rng.random() < 0.05,
        )

    def _submit(self, row: Row) -> Process:
        """Whoever is told of an error may have a task all the same."""
        try:
            self.store.submit(row)
        except StoreUnavailable as error:
            self._say("user %d submits: error %s", row.user.user_id.int, error)
            return
        self._say("user %d submits %s, %s", row.user.user_id.int, row, row.lane)
        if self.rng.random() < 0.3:
            self._start(f"cancel {row.number}", self._cancelling(row), None)
        elif self.rng.random() < 0.3:
            self._customers += 1
            self._start(f"retry {row.number}", self._retrying(row), None)
        yield 0

    def _cancelling(self, row: Row) -> Process:
        yield self.rng.randrange(25)
        for _ in range(3):
            seen = self.store.see(row)
            if seen.state is TaskState.cancelling:
                return
            try:
                step = task_state.on_cancel(seen)
                yield self.rng.randrange(3)
                self.store.write(seen, step, Reason.cancel)
            except IllegalTransition:
                return  # it is over
            except (FenceLost, StoreUnavailable) as error:
                self._say("cancel of %s: %r", row, error)
                yield 1
            else:
                self._say("cancel of %s is acknowledged", row)
                return

    def _retrying(self, row: Row) -> Process:
        """A new task for the same file, once the first one has failed."""
        for _ in range(10):
            yield 8
            if row.state is TaskState.completed:
                break
            if row.state in task_state.TERMINAL:
                again = self._row(row.user, row.file, crowded=False)
                again.windows = row.windows
                yield from self._submit(again)
                break
        self._customers -= 1

    def _recovering(self, row: Row) -> Process:
        seen = self.store.see(row)
        yield self.rng.randrange(3)
        try:
            self.store.write(seen, task_state.on_recover(seen), Reason.recover)
        except (FenceLost, StoreUnavailable, IllegalTransition) as error:
            self._say("recovery of %s: %r", row, error)
        else:
            self._say("an operator recovers %s", row)

    def _say(self, text: str, *values: object) -> None:
        if self._tracing:
            self.trace.append(f"{self.steps:5} {self.store.now:4} s  {text % values}")


def run(seed: int, bug: Bug | None = None, *, tracing: bool = False) -> Report:
    """Run one seed."""
    return World(seed, bug, tracing=tracing).run()


def command(seed: int, bug: Bug | None = None) -> str:
    """What to type to see a seed again."""
    planted = f" --bug {bug}" if bug else ""
    return f".venv/bin/python -m tests.simulation {seed}{planted}"
