"""fair sharing, events that outlive their task, outbox, idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "user",
        sa.Column(
            "served",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
    )
    op.add_column("user", sa.Column("share_weight", sa.Float(), server_default="1", nullable=False))
    op.add_column(
        "task",
        sa.Column(
            "timings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
    )
    op.create_index(
        "ix_task_waiting",
        "task",
        ["user_id", "lane", "created_at", "id"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_task_completed",
        "task",
        ["finished_at"],
        postgresql_where=sa.text("state = 'completed'"),
    )
    op.create_table(
        "queue_clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("virtual_time", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("passed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_queue_clock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_clock")),
    )
    op.execute("INSERT INTO queue_clock (id, virtual_time, passed) VALUES (1, '{}', '{}')")
    op.drop_constraint("fk_task_event_task_id_task", "task_event", type_="foreignkey")
    op.alter_column("task_event", "task_id", nullable=True)
    op.add_column("task_event", sa.Column("media_file_id", sa.UUID(), nullable=True))
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "destination",
            sa.Enum(
                "objects", name="destination", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("destination", "subject", name=op.f("uq_outbox_destination_subject")),
    )
    op.create_index("ix_outbox_due", "outbox", ["destination", "due_at"])
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_idempotency_key_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_key")),
    )


def downgrade() -> None:
    op.drop_table("idempotency_key")
    op.drop_table("outbox")
    # What was not about a task has no place in the older schema.
    op.execute(
        "DELETE FROM task_event WHERE NOT EXISTS"
        " (SELECT FROM task WHERE task.id = task_event.task_id)"
    )
    op.drop_column("task_event", "media_file_id")
    op.alter_column("task_event", "task_id", nullable=False)
    op.create_foreign_key(
        "fk_task_event_task_id_task", "task_event", "task", ["task_id"], ["id"], ondelete="CASCADE"
    )
    op.drop_table("queue_clock")
    op.drop_index("ix_task_completed", table_name="task")
    op.drop_index("ix_task_waiting", table_name="task")
    op.drop_column("task", "timings")
    op.drop_column("user", "share_weight")
    op.drop_column("user", "served")
