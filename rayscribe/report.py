"""What a start-up shows: each step and how long it took; on a terminal or through a pipe."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol, TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Kind(StrEnum):
    """What happened to a step."""

    begun = "begun"
    progress = "progress"
    done = "done"
    failed = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """News of a step; `seconds` since it began."""

    kind: Kind
    step: str
    text: str = ""
    seconds: float = 0.0


class Reporter(Protocol):
    """Whoever hears the news."""

    def tell(self, event: Event) -> None:
        """Show or pass on."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A part of starting: `run` reports its progress and returns what there is to say."""

    name: str
    run: Callable[[Callable[[str], None]], str | None]


def run_steps(steps: Sequence[Step], reporter: Reporter) -> None:
    """Run the steps in order and tell; an exception is told and passed on."""
    for step in steps:
        with _told(step, reporter) as finished:
            finished.append(step.run(_progress(step, reporter)) or "")


@contextmanager
def _told(step: Step, reporter: Reporter) -> Iterator[list[str]]:
    begun = time.monotonic()
    said: list[str] = []
    reporter.tell(Event(Kind.begun, step.name))
    try:
        yield said
    except BaseException as error:
        seconds = time.monotonic() - begun
        reporter.tell(Event(Kind.failed, step.name, str(error) or repr(error), seconds))
        raise
    reporter.tell(Event(Kind.done, step.name, said[0], time.monotonic() - begun))


def _progress(step: Step, reporter: Reporter) -> Callable[[str], None]:
    def progress(text: str) -> None:
        reporter.tell(Event(Kind.progress, step.name, text))

    return progress


class Terminal:
    """Shows steps to a person: one line each, alive while it lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def tell(self, event: Event) -> None:
        """Draw it."""
        if event.kind in {Kind.done, Kind.failed}:
            self._end()
            good = event.kind is Kind.done
            mark = "[green]✓[/]" if good else "[red]✗[/]"
            text = f"{event.seconds:6.1f} s  {escape(event.text)}" if good else ""
            self._console.print(f"{mark} {event.step:<10}{text}", highlight=False, soft_wrap=True)
        elif self._console.is_terminal:
            self._draw(escape(f"{event.step:<10} {event.text}"))

    def _draw(self, text: str) -> None:
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)

    def _end(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


class Pipe:
    """Passes events on as JSON lines: from a detached supervisor to the command that started it."""

    def __init__(self, file: TextIO) -> None:
        self._file: TextIO | None = file

    def tell(self, event: Event) -> None:
        """Write it; when nobody reads any more (Ctrl-C there), go on in silence."""
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(asdict(event)) + "\n")
            self._file.flush()
        except BrokenPipeError:
            self._file = None


def events(lines: Iterable[str]) -> Iterator[Event]:
    """The events that a Pipe wrote."""
    for line in lines:
        fields = json.loads(line)
        yield Event(Kind(fields["kind"]), fields["step"], fields["text"], fields["seconds"])
