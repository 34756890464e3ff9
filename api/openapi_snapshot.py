"""The contract as a file: docs/openapi.json, so that its changes show in review.

`python -m api.openapi_snapshot > docs/openapi.json` writes it.
"""

import json
import sys

from fastapi import FastAPI

from api.factory import DESCRIPTION, ROUTERS, VERSION
from api.openapi import describe

SNAPSHOT = "docs/openapi.json"


def rendered() -> str:
    """The document as JSON, in the order of the code."""
    app = FastAPI(title="rayscribe", version=VERSION, description=DESCRIPTION)
    for router in ROUTERS:
        app.include_router(router)
    return json.dumps(describe(app), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rendered())
