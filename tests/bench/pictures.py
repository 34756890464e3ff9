"""Pictures of benches: from the JSON that they wrote, to PNG."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Result = Mapping[str, Any]
COLOURS = ("#1f77b4", "#9aa0a6", "#c9b458", "#7a9e7e")


def figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    """A figure without a window, and its panels."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    made, axes = plt.subplots(1, panels, figsize=(width, height), squeeze=False)
    return made, list(axes[0])


def throughput(told: Mapping[str, Any], target: Path) -> None:
    """Audio a second of each side, and what an hour of audio costs in CPU seconds."""
    results: Sequence[Result] = told["results"]
    made, (speeds, costs) = figure(11, 4, 2)
    _bars(speeds, results, lambda result: result["rtfx"], "%.1f")
    speeds.set_ylabel("seconds of audio per second")
    speeds.set_title("Throughput, end to end")
    speeds.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False)
    _bars(costs, results, lambda r: 3600 * r["cpu_seconds"] / r["audio_seconds"], "%.0f")
    costs.set_ylabel("CPU seconds per hour of audio")
    costs.set_title("What it costs")
    made.tight_layout()
    made.savefig(target, dpi=110)


def _bars(
    axes: Any, results: Sequence[Result], value: Callable[[Result], float], form: str
) -> None:
    """A group of bars for each set, a bar for each side that worked on it: means over rounds."""
    sets = list(dict.fromkeys(result["set"] for result in results))
    for number, side in enumerate(dict.fromkeys(result["side"] for result in results)):
        of_side = [result for result in results if result["side"] == side]
        its = [name for name in sets if any(result["set"] == name for result in of_side)]
        heights = [fmean(value(r) for r in of_side if r["set"] == name) for name in its]
        places = [sets.index(name) + 0.27 * number for name in its]
        bars = axes.bar(places, heights, 0.25, label=side, color=COLOURS[number])
        axes.bar_label(bars, fmt=form)
        # Room for the labels.
        axes.margins(y=0.12)
    axes.set_xticks([index + 0.27 for index in range(len(sets))], sets)
