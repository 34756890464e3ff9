"""The autoscaling policy that Serve calls for an application, in its controller.

Serve pickles this module as a whole and calls the policy ten times a second: it must be quick, and
what it needs comes with the call. The runner says what waits (`pipelines.demand`), each replica how
much audio it did and how long that took (`serving.deployments.speed`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cluster import autoscaling
from cluster.autoscaling import CoolDown, Goal, Steady

PATH = "cluster.scaling_policy:Policy"
"""How Serve is told of it."""
AUDIO, BUSY = "audio_seconds", "busy_seconds"
"""What replicas say: audio of their latest full batches and the seconds those took; and how long
they have worked since they started."""
WORKED = "worked_seconds"


class Moment(Protocol):
    """What is used of Serve's `AutoscalingContext`."""

    deployment_name: str
    target_num_replicas: int
    capacity_adjusted_min_replicas: int
    capacity_adjusted_max_replicas: int
    config: Any

    @property
    def current_time(self) -> float | None:
        """Seconds since the epoch."""
        ...

    @property
    def total_num_requests(self) -> float:
        """Requests under way and waiting."""
        ...

    @property
    def raw_metrics(self) -> Mapping[str, Mapping[Any, Any]] | None:
        """What replicas have said lately, by name and replica."""
        ...


def waiting_key(role: str, lane: str) -> str:
    """The name under which the runner says what waits for a role in a lane."""
    return f"{role}/{lane}"


def deployment_name(role: str) -> str:
    """`speaker_segmenter` is deployed as `SpeakerSegmenter`."""
    return "".join(word.capitalize() for word in role.split("_"))


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one replica of a deployment is, and how many are at work."""

    rtfx: float
    busy: float


class Policy:
    """How many replicas each deployment of an application should have.

    Args:
        goals: Seconds by lane, better lanes first.
        cool_down: `up`, `down` and `zero` seconds.
        busy_share: How busy replicas may be on average.
        rtfx: Of roles that go by audio, until it is measured.
    """

    def __init__(
        self,
        goals: Mapping[str, float],
        cool_down: Mapping[str, float],
        busy_share: float,
        rtfx: Mapping[str, float],
    ) -> None:
        self._goals = [Goal(lane, seconds) for lane, seconds in goals.items()]
        self._cool_down = CoolDown(**cool_down)
        self._busy_share = busy_share
        self._roles = {deployment_name(role): role for role in rtfx}
        self._rtfx = dict(rtfx)
        self._steady: dict[str, Steady] = {}

    def __call__(
        self, moments: Mapping[Any, Moment]
    ) -> tuple[dict[Any, int], dict[Any, dict[str, Any]]]:
        """Serve's call: the number by deployment, and what Serve should keep for us: nothing."""
        reports = [latest(moment) for moment in moments.values()]
        said = {name: value for report in reports for name, value in report.items()}
        return {key: self._decide(moment, said) for key, moment in moments.items()}, {}

    def _decide(self, moment: Moment, said: Mapping[str, float]) -> int:
        name = moment.deployment_name
        wanted = self._wanted(moment, said)
        if wanted is None:
            return moment.target_num_replicas
        low, high = moment.capacity_adjusted_min_replicas, moment.capacity_adjusted_max_replicas
        steady = self._steady.setdefault(name, Steady(self._cool_down))
        now, current = moment.current_time or 0.0, moment.target_num_replicas
        return steady.follow(now, autoscaling.clamp(wanted, low, high), current)

    def _wanted(self, moment: Moment, said: Mapping[str, float]) -> int | None:
        """How many would do at this moment; None: nobody knows, so nothing changes."""
        role = self._roles.get(moment.deployment_name)
        if role is None:
            target = moment.config.get_target_ongoing_requests()
            return autoscaling.replicas_for(moment.total_num_requests, target)
        lanes = [goal.lane for goal in self._goals]
        waiting = {lane: said.get(waiting_key(role, lane)) for lane in lanes}
        known = {lane: seconds for lane, seconds in waiting.items() if seconds is not None}
        if not known:
            # No runner has said anything lately: it starts, or it is away.
            return None
        speed = measured(moment, self._rtfx[role])
        self._rtfx[role] = speed.rtfx
        rate = autoscaling.rate_needed(known, self._goals)
        current = moment.target_num_replicas
        return max(
            autoscaling.replicas_for(rate, speed.rtfx),
            autoscaling.still_busy(speed.busy, current, self._busy_share),
        )


def measured(moment: Moment, otherwise: float) -> Speed:
    """What the replicas of a deployment say of their speed; `otherwise`: none has worked yet."""
    metrics = moment.raw_metrics or {}
    audio = sum(map(last, metrics.get(AUDIO, {}).values()))
    seconds = sum(map(last, metrics.get(BUSY, {}).values()))
    busy = sum(map(share, metrics.get(WORKED, {}).values()))
    return Speed(audio / seconds if audio > 0 and seconds > 0 else otherwise, busy)


def latest(moment: Moment) -> dict[str, float]:
    """The latest values of each metric with a lane in its name: of several replicas, the newest."""
    metrics = moment.raw_metrics or {}
    return {
        name: max((series[-1].timestamp, series[-1].value) for series in said)[1]
        for name, by_replica in metrics.items()
        if "/" in name and (said := [series for series in by_replica.values() if series])
    }


def last(series: Iterable[Any]) -> float:
    """The latest value of a series."""
    points = list(series)
    return float(points[-1].value) if points else 0.0


def share(series: Iterable[Any]) -> float:
    """By how much a counter of seconds grew per second: 1 for a replica that never rested."""
    points = list(series)
    if len(points) < 2 or points[-1].timestamp <= points[0].timestamp:
        return 0.0
    grown = points[-1].value - points[0].value
    return float(min(1.0, max(0.0, grown / (points[-1].timestamp - points[0].timestamp))))
