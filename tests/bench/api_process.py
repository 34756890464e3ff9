"""One API replica without Ray, on one core: `python -m tests.bench.api_process PORT [KIND]`."""

import os
import sys

import uvicorn
from fastapi import FastAPI

from api.app import replica_app
from tests.bench.fetch_all import peer_app

CORE = 0


def app(kind: str) -> FastAPI:
    """Ours, or the peer that fetches everything."""
    ours = replica_app()
    return peer_app(ours.state.services) if kind == "fetch_all" else ours


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    port, kind = int(sys.argv[1]), (sys.argv[2:] or ["ours"])[0]
    uvicorn.run(app(kind), host="127.0.0.1", port=port, access_log=False, log_level="warning")
