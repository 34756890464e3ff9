"""`rayscribe update`: change settings of a running installation, without a pause."""

import os
import time
from typing import Annotated

import typer

from cluster.embedded.environment import resolve_profile
from cluster.embedded.errors import EmbeddedError
from cluster.embedded.installation import Installation
from cluster.embedded.ray_head import logical_cpus, logical_memory
from cluster.embedded.rolling import ROLLED_AT, RollingUpdate, changes_in, check_changes
from cluster.embedded.state import holder
from cluster.resources import DoesNotFit, Role, bounds, fits_beside
from cluster.setting_names import set_in
from cluster.settings import Profile, Settings
from rayscribe.context import (
    DataDir,
    Exit,
    complain,
    console,
    data_dir_of,
    one_line_errors,
    settings_with,
)

Changes = Annotated[
    list[str] | None, typer.Argument(help="Settings as in docs/operations.md: NAME=VALUE …")
]
Restart = Annotated[bool, typer.Option("--restart", help="Replace replicas also without a change.")]


def update(changes: Changes = None, *, restart: Restart = False, data_dir: DataDir = None) -> None:
    """Replace replicas one after the other by such with other settings; nothing is lost.

    It holds until the next start: set the same variables for `rayscribe up`.
    """
    directory = data_dir_of(data_dir)
    wanted = _read(changes or [])
    if not wanted and not restart:
        complain("nothing to change: say NAME=VALUE, or --restart")
        raise typer.Exit(Exit.usage)
    if holder(directory) is None:
        complain(f"not running on {directory}: set it, and start it with `rayscribe up`")
        raise typer.Exit(Exit.failed)
    installation = Installation(directory)
    with one_line_errors():
        check_changes(wanted)
        dashboard = installation.dashboard()
        if dashboard is None:
            raise EmbeddedError("Ray has not been started yet: wait for `rayscribe up`")
        settings = _settings(installation, wanted)
        in_place = not _has_room(settings)
        if in_place:
            console.print("no room for old and new replicas at a time: the old ones stop first")
        again = {ROLLED_AT: f"{time.time():.0f}"} if restart else {}
        rolling = RollingUpdate(installation, dashboard, _Steps())
        seconds = rolling.run({**wanted, **again}, settings.scaling, in_place=in_place)
    console.print(f"updated in {seconds:.0f} s", highlight=False)


def _has_room(settings: Settings) -> bool:
    """Whether new replicas fit beside the old ones; of a cluster elsewhere its operator knows."""
    ray = settings.ray
    on_gpu = resolve_profile(settings.speech.profile) is Profile.gpu
    gpus = float("inf") if on_gpu else 0.0
    return ray.address is not None or fits_beside(
        settings, logical_cpus(ray), gpus, logical_memory(ray)
    )


def _read(changes: list[str]) -> dict[str, str]:
    """NAME=VALUE each."""
    pairs = [change.partition("=") for change in changes]
    for name, equals, _ in pairs:
        if not (name and equals):
            complain(f"{name}: say NAME=VALUE")
            raise typer.Exit(Exit.usage)
    return {name: value for name, _, value in pairs}


def _settings(installation: Installation, wanted: dict[str, str]) -> Settings:
    """The settings that will hold: those of the start, what was changed since, and these."""
    config = installation.serve()
    for name in set_in(os.environ):
        # What this shell says is not what it was started with.
        del os.environ[name]
    os.environ.update({**installation.settings(), **(changes_in(config) if config else {})})
    settings = settings_with(**wanted)
    try:
        for role in Role:
            bounds(role, settings)
    except DoesNotFit as error:
        raise EmbeddedError(str(error)) from error
    return settings


class _Steps:
    """A line for each step, not for each look at it."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, step: str) -> None:
        if step != self._last:
            console.print(step, highlight=False)
        self._last = step
