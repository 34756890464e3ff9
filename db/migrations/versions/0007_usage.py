"""usage: what completed tasks used, kept beyond files and accounts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("lane", sa.String(length=32), nullable=False),
        sa.Column(
            "measure",
            sa.Enum(
                "audio_seconds",
                "model_seconds",
                "prompt_tokens",
                "completion_tokens",
                "calls",
                name="usagemeasure",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("stage", sa.String(length=32), server_default="", nullable=False),
        sa.Column("model", sa.String(length=200), server_default="", nullable=False),
        sa.Column("amount", sa.Float(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_entry")),
        sa.UniqueConstraint(
            "task_id",
            "measure",
            "stage",
            "model",
            name=op.f("uq_usage_entry_task_id_measure_stage_model"),
        ),
    )
    op.create_index("ix_usage_entry_user_created", "usage_entry", ["user_id", "created_at"])
    op.create_index("ix_usage_entry_created", "usage_entry", ["created_at"])
    op.add_column(
        "task",
        sa.Column("busy_seconds", postgresql.JSONB(), server_default="{}", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("task", "busy_seconds")
    op.drop_index("ix_usage_entry_created", table_name="usage_entry")
    op.drop_index("ix_usage_entry_user_created", table_name="usage_entry")
    op.drop_table("usage_entry")
