"""language models: configurations, prompts, summaries, suggestions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


KINDS = "'transcription', 'download', 'playlist', 'voiceprints', 'enrolment', 'clustering'"
NEW_KINDS = "'summarization', 'speaker_identification', 'topic_extraction'"


def _allow(kinds: str) -> None:
    op.drop_constraint(op.f("ck_task_taskkind"), "task", type_="check")
    op.create_check_constraint(op.f("ck_task_taskkind"), "task", f"kind IN ({kinds})")


def upgrade() -> None:
    _allow(f"{KINDS}, {NEW_KINDS}")
    op.create_table(
        "llm_configuration",
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column(
            "provider",
            sa.Enum(
                "local",
                "vllm",
                "openai",
                "ollama",
                "anthropic",
                "openrouter",
                "custom",
                name="llmprovider",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("base_url", sa.String(length=500), nullable=True),
        sa.Column("api_key", sa.String(), nullable=True),
        sa.Column("context_tokens", sa.Integer(), nullable=False),
        sa.Column("temperature", sa.Double(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("last_tested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("test_status", sa.String(length=20), nullable=True),
        sa.Column("test_message", sa.String(), nullable=True),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_llm_configuration_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_configuration")),
        sa.UniqueConstraint(
            "user_id",
            "name",
            name=op.f("uq_llm_configuration_user_id_name"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "uq_llm_configuration_active",
        "llm_configuration",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("is_active"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "summary_prompt",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), server_default="", nullable=False),
        sa.Column(
            "content_type",
            sa.Enum(
                "meeting",
                "interview",
                "podcast",
                "documentary",
                "general",
                name="contenttype",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("prompt_text", sa.String(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_summary_prompt_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_summary_prompt")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_summary_prompt_user_id_name")),
    )
    op.create_table(
        "summary",
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("transcript_version", sa.Integer(), nullable=False),
        sa.Column(
            "provider",
            sa.Enum(
                "local",
                "vllm",
                "openai",
                "ollama",
                "anthropic",
                "openrouter",
                "custom",
                name="llmprovider",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("prompt_id", sa.UUID(), nullable=True),
        sa.Column("prompt_name", sa.String(length=255), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sections", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("action_items", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("searchable", postgresql.TSVECTOR(), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_summary_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_summary_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_summary")),
        sa.UniqueConstraint(
            "media_file_id", "version", name=op.f("uq_summary_media_file_id_version")
        ),
    )
    op.create_index(
        "ix_summary_searchable", "summary", ["searchable"], unique=False, postgresql_using="gin"
    )
    op.create_index(
        "ix_summary_user_created", "summary", ["user_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "topic_suggestion",
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("transcript_version", sa.Integer(), nullable=False),
        sa.Column(
            "provider",
            sa.Enum(
                "local",
                "vllm",
                "openai",
                "ollama",
                "anthropic",
                "openrouter",
                "custom",
                name="llmprovider",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("collections", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "accepted",
                "rejected",
                name="suggestionstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "decisions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_topic_suggestion_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_topic_suggestion_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("media_file_id", name=op.f("pk_topic_suggestion")),
    )
    op.create_index(
        op.f("ix_topic_suggestion_user_id"), "topic_suggestion", ["user_id"], unique=False
    )
    op.create_table(
        "speaker_prediction",
        sa.Column("speaker_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("reasoning", sa.String(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("transcript_version", sa.Integer(), nullable=False),
        sa.Column(
            "provider",
            sa.Enum(
                "local",
                "vllm",
                "openai",
                "ollama",
                "anthropic",
                "openrouter",
                "custom",
                name="llmprovider",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speaker.id"],
            name=op.f("fk_speaker_prediction_speaker_id_speaker"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_speaker_prediction_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_speaker_prediction")),
        sa.UniqueConstraint(
            "speaker_id", "name", name=op.f("uq_speaker_prediction_speaker_id_name")
        ),
    )
    op.create_index(
        op.f("ix_speaker_prediction_user_id"), "speaker_prediction", ["user_id"], unique=False
    )


def downgrade() -> None:
    op.execute(f"DELETE FROM task WHERE kind IN ({NEW_KINDS})")  # noqa: S608 - our own words
    _allow(KINDS)
    op.drop_index(op.f("ix_speaker_prediction_user_id"), table_name="speaker_prediction")
    op.drop_table("speaker_prediction")
    op.drop_index(op.f("ix_topic_suggestion_user_id"), table_name="topic_suggestion")
    op.drop_table("topic_suggestion")
    op.drop_index("ix_summary_user_created", table_name="summary")
    op.drop_index("ix_summary_searchable", table_name="summary", postgresql_using="gin")
    op.drop_table("summary")
    op.drop_table("summary_prompt")
    op.drop_index(
        "uq_llm_configuration_active",
        table_name="llm_configuration",
        postgresql_where=sa.text("is_active"),
        postgresql_nulls_not_distinct=True,
    )
    op.drop_table("llm_configuration")
