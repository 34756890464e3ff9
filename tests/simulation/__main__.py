"""Runs one seed again and shows what happened: `python -m tests.simulation SEED [--bug NAME]`."""

import argparse
import sys

from tests.simulation.bugs import Bug
from tests.simulation.world import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--bug", type=Bug, choices=list(Bug), help="a mistake to plant")
    arguments = parser.parse_args()
    report = run(arguments.seed, arguments.bug, tracing=True)
    for line in report.trace:
        sys.stdout.write(line + "\n")
    verdict = f"VIOLATED: {report.violation}" if report.violation else "all invariants hold"
    sys.stdout.write(
        f"{report.steps} steps, {report.tasks} tasks, {report.claims} claims: {verdict}\n"
    )
    sys.exit(1 if report.violation else 0)
