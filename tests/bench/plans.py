"""The plans of the statements behind some requests: is a big table read from end to end?

PostgreSQL's own auto_explain writes them to its log, with the parameters and the cached plans of
the service's own connections.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

BIG = frozenset({"segment", "media_file", "transcript", "speaker", "file_tag", "task"})
SCAN = re.compile(r"Seq Scan on (\w+)")
PLAN = re.compile(r"duration: ([\d.]+) ms +plan:\n(.*?)(?=\n\d{4}-|\Z)", re.DOTALL)


async def explain_everything(database_url: str) -> None:
    """From now on, connections to this database log the plan of each statement."""
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("SELECT current_database()")
    for setting, value in (
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
    ):
        await connection.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    await connection.close()


class PlanLog:
    """What auto_explain has written so far."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def during(self) -> Iterator[list[str]]:
        """The plans logged while the block runs."""
        start = self._path.stat().st_size
        plans: list[str] = []
        yield plans
        written = self._path.read_bytes()[start:].decode()
        plans += [match[0] for match in PLAN.finditer(written)]


def scanned(plans: list[str]) -> dict[str, int]:
    """Big tables that these plans read from end to end, with how often."""
    found: dict[str, int] = {}
    for plan in plans:
        for name in set(SCAN.findall(plan)) & BIG:
            found[name] = found.get(name, 0) + 1
    return found


def slowest(plans: list[str]) -> str:
    """The plan that took longest."""
    return max(plans, key=lambda plan: float(PLAN.search(plan)[1]), default="no plan")


def shown(found: dict[str, int]) -> str:
    """For a table's cell."""
    return json.dumps(found) if found else "none"
