"""The peer of the list route: every file fetched and counted in the program, then cut to a page.

That is how the system that we replace lists files (reference §1.2: a bare list of all of them, from
the seed's era). Our own words over our own tables; `uvicorn tests.bench.fetch_all:app`.
"""

from typing import Any

from fastapi import FastAPI
from sqlalchemy import select

from api.dependencies import CurrentUser, Services, Session
from api.schemas import FileOut
from db.models import MediaFile


def peer_app(services: Services) -> FastAPI:
    """An application with that one route."""
    app = FastAPI()
    app.state.services = services

    @app.get("/api/files")
    async def list_all(
        session: Session, user: CurrentUser, page: int = 1, page_size: int = 20
    ) -> dict[str, Any]:
        query = select(MediaFile).where(MediaFile.user_id == user.id)
        rows = (await session.scalars(query.order_by(MediaFile.created_at.desc()))).all()
        shown = rows[(page - 1) * page_size : page * page_size]
        return {"items": [FileOut.model_validate(row) for row in shown], "total": len(rows)}

    return app
