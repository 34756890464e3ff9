"""backfills: one stage over many files, and what became of each of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KINDS = (
    "'transcription', 'download', 'playlist', 'voiceprints', 'enrolment', 'clustering', "
    "'summarization', 'speaker_identification', 'topic_extraction', 'search_index'"
)
NEW_KINDS = "'file_index', 'alignment', 'backfill'"
NOW = sa.text("now()")


def _allow(kinds: str) -> None:
    op.drop_constraint(op.f("ck_task_taskkind"), "task", type_="check")
    op.create_check_constraint(op.f("ck_task_taskkind"), "task", f"kind IN ({kinds})")


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


STAGES = (
    "re-transcribe",
    "re-diarize",
    "re-embed",
    "re-align",
    "re-index",
    "re-summarize",
    "import",
)


def _create_backfill() -> None:
    op.create_table(
        "backfill",
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("stage", _one_of("backfillstage", *STAGES), nullable=False),
        sa.Column("engine", _one_of("backfillengine", "inprocess", "online"), nullable=False),
        sa.Column("selection", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("cursor", sa.String(length=1100), nullable=True),
        sa.Column("selected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actors", sa.Integer(), nullable=True),
        sa.Column("max_audio_seconds", sa.Float(), nullable=True),
        sa.Column("max_model_seconds", sa.Float(), nullable=True),
        sa.Column("audio_seconds_per_minute", sa.Float(), nullable=True),
        sa.Column("begun_audio_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("next_begin_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("halted_fence", sa.BigInteger(), nullable=True),
        sa.Column(
            "stopped",
            _one_of("backfillstop", "audio_budget", "model_budget", "fatal"),
            nullable=True,
        ),
        sa.Column("error_type", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_backfill_user_id_user"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfill")),
    )
    op.create_index("ix_backfill_created", "backfill", ["created_at", "id"])


def _create_item() -> None:
    op.create_table(
        "backfill_item",
        sa.Column("backfill_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("media_file_id", sa.UUID(), nullable=True),
        sa.Column("source", sa.String(length=1100), nullable=True),
        sa.Column(
            "facts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column(
            "state", _one_of("itemstate", "waiting", "done", "failed", "skipped"), nullable=False
        ),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("task_id", sa.UUID(), nullable=True),
        sa.Column("audio_seconds", sa.Float(), nullable=False),
        sa.Column("model_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error_type", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["backfill_id"],
            ["backfill.id"],
            name=op.f("fk_backfill_item_backfill_id_backfill"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_backfill_item_media_file_id_media_file"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["task.id"],
            name=op.f("fk_backfill_item_task_id_task"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("backfill_id", "number", name=op.f("pk_backfill_item")),
        sa.UniqueConstraint(
            "backfill_id",
            "media_file_id",
            name=op.f("uq_backfill_item_backfill_id_media_file_id"),
        ),
        sa.UniqueConstraint(
            "backfill_id", "source", name=op.f("uq_backfill_item_backfill_id_source")
        ),
    )
    op.create_index(op.f("ix_backfill_item_media_file_id"), "backfill_item", ["media_file_id"])
    op.create_index(op.f("ix_backfill_item_task_id"), "backfill_item", ["task_id"])
    op.create_index("ix_backfill_item_state", "backfill_item", ["backfill_id", "state", "number"])


def upgrade() -> None:
    _create_backfill()
    _allow(f"{KINDS}, {NEW_KINDS}")
    op.add_column("task", sa.Column("backfill_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_task_backfill_id_backfill"),
        "task",
        "backfill",
        ["backfill_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.add_column(
        "task", sa.Column("reserved", sa.Boolean(), server_default="false", nullable=False)
    )
    op.create_index(
        "ix_task_backfill",
        "task",
        ["backfill_id", "kind", "created_at"],
        postgresql_where=sa.text("backfill_id IS NOT NULL"),
    )
    _create_item()


def downgrade() -> None:
    op.drop_table("backfill_item")
    op.execute("DELETE FROM task WHERE kind IN ('file_index', 'alignment', 'backfill')")
    op.drop_index("ix_task_backfill", table_name="task")
    op.drop_constraint(op.f("fk_task_backfill_id_backfill"), "task", type_="foreignkey")
    op.drop_column("task", "reserved")
    op.drop_column("task", "backfill_id")
    _allow(KINDS)
    op.drop_table("backfill")
