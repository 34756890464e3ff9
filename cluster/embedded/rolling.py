"""Changes settings of a running installation: replicas are replaced one after the other.

The new one starts first where there is room for both, and the old one ends what it has begun. Where
models change, runners give their tasks back before and claim again after: a task must not be worked
on by both models.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from cluster.connection import Dashboard, DeployError
from cluster.embedded.errors import EmbeddedError
from cluster.embedded.installation import Installation
from cluster.resources import application_policy
from cluster.serve_config import LANGUAGE
from cluster.setting_names import by_variable
from cluster.settings import ScalingSettings

ROLL_SECONDS = 1800.0
"""For all replicas: large models take minutes to load."""
SILENT_SECONDS = 2 * ROLL_SECONDS
"""Runners that were told to wait claim again after this, should nobody be left who tells them."""
ROLLED_AT = "RAYSCRIBE_ROLLED_AT"
"""A variable that nobody reads: another value of it is a change, so everything is replaced."""
SURGE = "RAYSCRIBE_SCALING_SURGE_PERCENT"
SURGE_OTHERWISE = "RAYSCRIBE_SURGE_OTHERWISE"
"""A variable that nobody reads: what was set as surge where this update has room for none."""
RUNNER = "Runner"

Progress = Callable[[str], None]
Config = dict[str, Any]


def check_changes(changes: Mapping[str, str]) -> None:
    """Raise EmbeddedError where a running installation cannot take on one of these."""
    known = by_variable()
    for name in changes:
        setting = known.get(name)
        if setting is None:
            raise EmbeddedError(f"{name} is no setting: see docs/operations.md")
        if setting.is_secret:
            raise EmbeddedError(
                f"{name} is a secret, which Ray's dashboard would show: set it, and start anew "
                "with `rayscribe down` and `rayscribe up`"
            )
        if setting.is_of_the_start:
            raise EmbeddedError(
                f"{name} is of the start: set it, and start anew with `rayscribe down` and "
                "`rayscribe up`"
            )


def changes_models(changes: Mapping[str, str]) -> bool:
    """Whether results differ with these settings."""
    known = by_variable()
    return any(name in known and known[name].is_of_models for name in changes)


def changes_in(config: Config) -> dict[str, str]:
    """The settings that were changed since the start."""
    found: dict[str, str] = {}
    for application in config["applications"]:
        found |= application.get("runtime_env", {}).get("env_vars", {})
    if (otherwise := found.pop(SURGE_OTHERWISE, None)) is not None:
        # That nothing had room beside the old ones was so then.
        del found[SURGE]
        found |= {SURGE: otherwise} if otherwise else {}
    return found


def changed(
    config: Config,
    changes: Mapping[str, str],
    scaling: ScalingSettings,
    *,
    in_place: bool = False,
) -> Config:
    """The configuration with further settings changed.

    Args:
        config: that holds now.
        changes: by variable.
        scaling: as they are then.
        in_place: old replicas stop before new ones start, this time.
    """
    variables = {**changes_in(config), **changes}
    if in_place:
        variables |= {SURGE_OTHERWISE: variables.get(SURGE, ""), SURGE: "0"}

    def change(application: Config) -> Config:
        made = {**application, "runtime_env": {"env_vars": variables}}
        if "autoscaling_policy" in application:
            made["autoscaling_policy"] = application_policy(scaling)
        return made

    return {**config, "applications": [change(one) for one in config["applications"]]}


def with_runners_waiting(config: Config) -> Config:
    """The same, with runners that claim nothing and give back what they have."""
    wait = {"claims": False, "seconds": SILENT_SECONDS}

    def change(application: Config) -> Config:
        if application["name"] != "pipelines":
            return application
        return {**application, "deployments": [{"name": RUNNER, "user_config": wait}]}

    return {**config, "applications": [change(one) for one in config["applications"]]}


@dataclass(frozen=True, slots=True)
class RollingUpdate:
    """A change that is being made."""

    installation: Installation
    dashboard: Dashboard
    progress: Progress

    def run(self, changes: Mapping[str, str], scaling: ScalingSettings, *, in_place: bool) -> float:
        """Make it, and return the seconds it took; where it cannot be, all is as it was.

        Args:
            changes: by variable.
            scaling: as they are then.
            in_place: there is no room for new replicas beside the old ones.

        Raises:
            EmbeddedError: why not.
        """
        before = self.installation.serve()
        if not before:
            raise EmbeddedError("it has not been deployed yet: wait for `rayscribe up`")
        after = changed(before, changes, scaling, in_place=in_place)
        started = time.monotonic()
        try:
            self._roll(before, after, waiting=changes_models(changes))
        except (DeployError, httpx.HTTPError) as error:
            self._undo(before, error)
            raise EmbeddedError(f"{error}; everything is as it was") from error
        return time.monotonic() - started

    def _roll(self, before: Config, after: Config, *, waiting: bool) -> None:
        if waiting:
            self.progress("runners give their tasks back")
            self._put(with_runners_waiting(before))
            self.progress("replacing replicas")
            self._put(with_runners_waiting(after))
        self.progress("runners claim again" if waiting else "replacing replicas")
        self._put(after)
        self.installation.keep_serve(after)

    def _undo(self, before: Config, reason: Exception) -> None:
        self.progress("it cannot be: back to what was")
        try:
            self._put(before)
        except (DeployError, httpx.HTTPError) as error:
            raise EmbeddedError(f"{reason}; and the way back failed: {error}") from error

    def _put(self, config: Config) -> None:
        self.dashboard.put(config)
        # What nothing else needs to run may still be starting.
        names = [one["name"] for one in config["applications"] if one["name"] != LANGUAGE.name]
        self.dashboard.await_running(names, ROLL_SECONDS, self.progress)
