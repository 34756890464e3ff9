"""Requests per second with 100,000 files and 10 million segments, and the plans of their queries.

`python -m tests.bench listing [FILES]`: one API replica on one core, PostgreSQL and the client on
the other; beside it the list route of the system that we replace (tests.bench.fetch_all).
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx

from tests.bench import library
from tests.bench.http_load import Load, load
from tests.bench.plans import PlanLog, explain_everything, scanned, shown, slowest
from tests.bench.tables import table
from tests.fixtures.stack import free_port

CONNECTIONS, SECONDS = 8, 20.0
PASSWORD = "correct horse battery staple"
EMAIL = "archive@example.org"
FACTS = (
    "status=completed&min_duration=600&max_duration=1200&from_date=2020-01-01T00:00:00Z&language=en"
)


@contextmanager
def api(database_url: str, kind: str = "ours") -> Iterator[str]:
    """An API process; its address."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a key for this bench, longer than thirty-two bytes",
        # Nothing here reads media.
        "MINIO_ENDPOINT": "127.0.0.1:1",
        "MINIO_ACCESS_KEY": "none",
        "MINIO_SECRET_KEY": "none",
        "RAYSCRIBE_LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.api_process", str(port), kind], env=environment
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            try:
                httpx.get(url, timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def sign_in(url: str) -> str:
    """An access token of the archive's owner."""
    form = {"username": EMAIL, "password": PASSWORD}
    answer = httpx.post(f"{url}/api/auth/login", data=form).raise_for_status()
    return str(answer.json()["data"]["access_token"])


def routes(url: str, token: str) -> Mapping[str, list[str]]:
    """What is asked, with files from all over the archive."""
    headers = {"Authorization": f"Bearer {token}"}
    ids = []
    for page in range(1, 800, 40):
        listed = httpx.get(
            f"{url}/api/files", params={"page": page, "page_size": 100}, headers=headers, timeout=60
        ).raise_for_status()
        ids += [item["id"] for item in listed.json()["data"]["items"][:10]]
    return {
        "list, first page of 20": ["/api/files"],
        "list, pages 1 to 1000": [f"/api/files?page={1 + 37 * n % 1000}" for n in range(100)],
        "list by size": ["/api/files?sort=size_bytes&order=asc"],
        "get": [f"/api/files/{one}" for one in ids],
        "transcript page of 100 segments": [
            f"/api/files/{one}/transcript/segments?page_size=100" for one in ids
        ],
        "search by part of the name": [
            f"/api/files?search=team {n}&page_size=20".replace(" ", "%20") for n in range(100, 200)
        ],
        "search by tags and speaker": [
            f"/api/files?tag=tag%20{n % 10}&speaker=person%20{n}" for n in range(100)
        ],
        "search by dates, duration, status": [f"/api/files?{FACTS}"],
        "search by rare words of the transcript": [
            f"/api/files?transcript_search=w{5000 + n}" for n in range(100)
        ],
        "search by frequent words of the transcript": ["/api/files?transcript_search=w5%20w6"],
    }


def row(name: str, found: Load) -> list[str]:
    """A line of the table."""
    return [
        name,
        f"{found.rate:.0f}" if found.rate >= 10 else f"{found.rate:.1f}",
        f"{found.percentile(0.5):.1f}",
        f"{found.percentile(0.99):.1f}",
        f"{found.body_bytes / 1024:.0f}",
    ]


def measure(url: str, token: str, paths: list[str], seconds: float) -> Load:
    """The load of one route, after a first round that fills caches."""
    asyncio.run(load(url, paths, token, connections=CONNECTIONS, seconds=seconds / 4))
    return asyncio.run(load(url, paths, token, connections=CONNECTIONS, seconds=seconds))


async def owner(database_url: str) -> uuid.UUID:
    """The id of the archive's owner."""
    connection = await asyncpg.connect(database_url)
    try:
        found: uuid.UUID = await connection.fetchval(
            'SELECT id FROM "user" WHERE email = $1', EMAIL
        )
        return found
    finally:
        await connection.close()


def main(arguments: list[str]) -> None:
    """Print the table and the plans."""
    files = int(arguments[0]) if arguments else library.FILES
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    with tempfile.TemporaryDirectory() as name:
        report(Path(name) / "pg", files)


def report(folder: Path, files: int) -> None:
    """Make the archive, load it, look at the plans."""
    with library.server(folder) as database_url:
        with api(database_url) as url:
            body = {"email": EMAIL, "password": PASSWORD}
            httpx.post(f"{url}/api/auth/register", json=body).raise_for_status()
            who = asyncio.run(owner(database_url))
            asyncio.run(library.fill(database_url, who, files))
            token = sign_in(url)
            asked = routes(url, token)
            rows = [row(name, measure(url, token, paths, SECONDS)) for name, paths in asked.items()]
        with api(database_url, "fetch_all") as url:
            peer = measure(url, token, ["/api/files"], SECONDS)
            rows.append(row("list, every file fetched and counted (the peer)", peer))
        print(table(["request", "a second", "p50 ms", "p99 ms", "KiB"], rows))
        asyncio.run(explain_everything(database_url))
        with api(database_url) as url:
            print_plans(url, token, asked, PlanLog(folder / "postgres.log"))


def print_plans(url: str, token: str, asked: Mapping[str, list[str]], log: PlanLog) -> None:
    """Which big tables are read from end to end, and the slowest plan of each request."""
    headers = {"Authorization": f"Bearer {token}"}
    for name, paths in asked.items():
        with log.during() as plans:
            for path in paths[:5]:
                httpx.get(f"{url}{path}", headers=headers, timeout=60).raise_for_status()
        print(f"\n### {name}: {len(plans)} plans, read from end to end: {shown(scanned(plans))}\n")
        print(slowest(plans))
