"""Alembic's entry: runs migrations on the connection that db.migrations.run hands over."""

from alembic import context

import db.models  # noqa: F401 - registers the tables
from db.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
