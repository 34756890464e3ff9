"""Pictures of benches: from the JSON that they wrote, to PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = ("#1f77b4", "#9aa0a6", "#c9b458", "#7a9e7e")


def figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    """A figure without a window, and its panels."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    made, axes = plt.subplots(1, panels, figsize=(width, height), squeeze=False)
    return made, list(axes[0])


def throughput(told: Mapping[str, Any], target: Path) -> None:
    """Audio a second of each side, and where the seconds of each stage go."""
    results: Sequence[Mapping[str, Any]] = told["results"]
    sides = list(dict.fromkeys(result["side"] for result in results))
    sets = list(dict.fromkeys(result["set"] for result in results))
    made, (speeds, stages) = figure(11, 4, 2)
    for number, side in enumerate(sides):
        values = [
            _mean(r["rtfx"] for r in results if (r["side"], r["set"]) == (side, name))
            for name in sets
        ]
        places = [index + 0.27 * number for index in range(len(sets))]
        bars = speeds.bar(places, values, 0.25, label=side, color=COLOURS[number])
        speeds.bar_label(bars, fmt="%.1f")
    speeds.set_xticks([index + 0.27 for index in range(len(sets))], sets)
    speeds.set_ylabel("seconds of audio per second")
    speeds.set_title("Throughput, end to end")
    speeds.legend()
    _stacked(stages, results, sides, sets)
    made.tight_layout()
    made.savefig(target, dpi=110)


def _stacked(
    axes: Any, results: Sequence[Mapping[str, Any]], sides: Sequence[str], sets: Sequence[str]
) -> None:
    """CPU seconds per hour of audio of each side."""
    for number, side in enumerate(sides):
        values = [
            _mean(
                3600 * r["cpu_seconds"] / r["audio_seconds"]
                for r in results
                if (r["side"], r["set"]) == (side, name)
            )
            for name in sets
        ]
        places = [index + 0.27 * number for index in range(len(sets))]
        bars = axes.bar(places, values, 0.25, label=side, color=COLOURS[number])
        axes.bar_label(bars, fmt="%.0f")
    axes.set_xticks([index + 0.27 for index in range(len(sets))], sets)
    axes.set_ylabel("CPU seconds per hour of audio")
    axes.set_title("What it costs")


def _mean(values: Any) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
