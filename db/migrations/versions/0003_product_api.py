"""accounts and their audit log, labels, settings, edits, analytics, downloads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # For parts of names; PostgreSQL lets the owner of a database install it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "audit_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("actor_id", sa.UUID(), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject_type", sa.String(length=32), nullable=True),
        sa.Column("subject_id", sa.String(length=64), nullable=True),
        sa.Column("owner_id", sa.UUID(), nullable=True),
        sa.Column("address", sa.String(length=45), server_default="", nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_actor", "audit_event", ["actor_id", "created_at"], unique=False)
    op.create_index("ix_audit_event_created", "audit_event", ["created_at", "id"], unique=False)
    op.create_index("ix_audit_event_owner", "audit_event", ["owner_id", "created_at"], unique=False)
    op.create_index(
        "ix_audit_event_subject", "audit_event", ["subject_id", "created_at"], unique=False
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempt")),
    )
    op.create_index(
        "ix_sign_in_attempt_account", "sign_in_attempt", ["account", "created_at"], unique=False
    )
    op.create_index(
        "ix_sign_in_attempt_address", "sign_in_attempt", ["address", "created_at"], unique=False
    )
    op.create_table(
        "system_setting",
        sa.Column("section", sa.String(length=64), nullable=False),
        sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
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
        sa.PrimaryKeyConstraint("section", name=op.f("pk_system_setting")),
    )
    op.create_table(
        "collection",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), server_default="", nullable=False),
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
            ["user_id"], ["user.id"], name=op.f("fk_collection_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_collection_user_id_name")),
    )
    op.create_table(
        "external_identity",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_external_identity_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_identity")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_external_identity_issuer_subject")),
    )
    op.create_index(
        op.f("ix_external_identity_user_id"), "external_identity", ["user_id"], unique=False
    )
    op.create_table(
        "tag",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_tag_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
    )
    op.create_index(
        "uq_tag_user_name", "tag", ["user_id", sa.literal_column("lower(name)")], unique=True
    )
    op.create_table(
        "user_setting",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("section", sa.String(length=64), nullable=False),
        sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
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
            ["user_id"], ["user.id"], name=op.f("fk_user_setting_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "section", name=op.f("pk_user_setting")),
    )
    op.create_table(
        "analytics",
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column("transcript_version", sa.Integer(), nullable=False),
        sa.Column("schema_version", sa.String(length=16), nullable=False),
        sa.Column("figures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_analytics_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("media_file_id", name=op.f("pk_analytics")),
    )
    op.create_table(
        "collection_member",
        sa.Column("collection_id", sa.UUID(), nullable=False),
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collection.id"],
            name=op.f("fk_collection_member_collection_id_collection"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_collection_member_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "collection_id", "media_file_id", name=op.f("pk_collection_member")
        ),
    )
    op.create_index(
        op.f("ix_collection_member_media_file_id"),
        "collection_member",
        ["media_file_id"],
        unique=False,
    )
    op.create_table(
        "comment",
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=True),
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
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_comment_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_comment_user_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comment")),
    )
    op.create_index(
        "ix_comment_file_created", "comment", ["media_file_id", "created_at"], unique=False
    )
    op.create_index(op.f("ix_comment_user_id"), "comment", ["user_id"], unique=False)
    op.create_table(
        "file_tag",
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column("tag_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_file_tag_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tag_id"], ["tag.id"], name=op.f("fk_file_tag_tag_id_tag"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("media_file_id", "tag_id", name=op.f("pk_file_tag")),
    )
    op.create_index(op.f("ix_file_tag_tag_id"), "file_tag", ["tag_id"], unique=False)
    op.create_table(
        "transcript_edit",
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
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
            name=op.f("fk_transcript_edit_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name=op.f("fk_transcript_edit_user_id_user"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transcript_edit")),
    )
    op.create_index(
        "ix_transcript_edit_file", "transcript_edit", ["media_file_id", "version"], unique=False
    )
    op.create_index(
        op.f("ix_transcript_edit_user_id"), "transcript_edit", ["user_id"], unique=False
    )
    op.add_column("media_file", sa.Column("author", sa.String(length=255), nullable=True))
    op.add_column("media_file", sa.Column("description", sa.String(), nullable=True))
    op.add_column("media_file", sa.Column("source_url", sa.String(length=2048), nullable=True))
    op.drop_index(op.f("ix_media_file_user_created"), table_name="media_file")
    op.create_index(
        "ix_media_file_user_created",
        "media_file",
        ["user_id", "created_at", "id"],
        unique=False,
        postgresql_include=["status", "duration", "size_bytes", "content_type", "language"],
    )
    op.create_index("ix_media_file_created", "media_file", ["created_at", "id"], unique=False)
    op.create_index("ix_task_created", "task", ["created_at"], unique=False)
    op.create_index("ix_task_event_created", "task_event", ["created_at"], unique=False)
    op.create_index(
        "ix_media_file_names",
        "media_file",
        ["title", "filename"],
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops", "filename": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_media_file_user_duration",
        "media_file",
        ["user_id", sa.literal_column("duration NULLS FIRST"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_media_file_user_completed",
        "media_file",
        ["user_id", sa.literal_column("completed_at NULLS FIRST"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_media_file_user_filename", "media_file", ["user_id", "filename", "id"], unique=False
    )
    op.create_index(
        "ix_media_file_user_size", "media_file", ["user_id", "size_bytes", "id"], unique=False
    )
    op.create_index(
        "ix_media_file_user_source",
        "media_file",
        ["user_id", "source_url"],
        unique=False,
        postgresql_where=sa.text("source_url IS NOT NULL"),
    )
    op.create_index(
        "ix_media_file_user_status",
        "media_file",
        ["user_id", "status", "created_at", "id"],
        unique=False,
    )
    op.drop_index(op.f("ix_speaker_user_id"), table_name="speaker")
    op.create_index(
        "ix_speaker_user_display_name",
        "speaker",
        ["user_id", sa.literal_column("lower(display_name)")],
        unique=False,
    )
    op.create_index(
        "ix_speaker_user_label",
        "speaker",
        ["user_id", sa.literal_column("lower(label)")],
        unique=False,
    )
    op.add_column(
        "refresh_token",
        sa.Column("user_agent", sa.String(length=255), server_default="", nullable=False),
    )
    op.add_column(
        "refresh_token",
        sa.Column("address", sa.String(length=45), server_default="", nullable=False),
    )
    op.add_column(
        "refresh_token",
        sa.Column(
            "session_started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    op.execute("UPDATE refresh_token SET session_started_at = created_at")
    op.create_index(
        op.f("ix_refresh_token_expires_at"), "refresh_token", ["expires_at"], unique=False
    )
    op.add_column(
        "segment", sa.Column("edited", sa.Boolean(), server_default="false", nullable=False)
    )
    op.add_column("task", sa.Column("parent_id", sa.UUID(), nullable=True))
    op.add_column(
        "task",
        sa.Column(
            "result", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
    )
    op.create_index(op.f("ix_task_parent_id"), "task", ["parent_id"], unique=False)
    op.create_index("ix_task_user_state", "task", ["user_id", "state", "created_at"], unique=False)
    op.create_index("ix_task_user_kind", "task", ["user_id", "kind", "created_at"], unique=False)
    op.create_foreign_key(
        op.f("fk_task_parent_id_task"), "task", "task", ["parent_id"], ["id"], ondelete="CASCADE"
    )
    op.add_column(
        "transcript", sa.Column("version", sa.Integer(), server_default="1", nullable=False)
    )
    op.add_column(
        "transcript", sa.Column("reassigned", sa.Boolean(), server_default="false", nullable=False)
    )
    op.drop_index("uq_segment_transcript_index", table_name="segment")
    op.create_unique_constraint(
        "uq_segment_transcript_index",
        "segment",
        ["transcript_id", "index"],
        deferrable=True,
        initially="IMMEDIATE",
    )
    op.add_column(
        "transcript",
        sa.Column("vocabulary", postgresql.TSVECTOR(), server_default="", nullable=False),
    )
    op.create_index(
        "ix_transcript_vocabulary",
        "transcript",
        ["vocabulary"],
        unique=False,
        postgresql_using="gin",
    )
    op.add_column("user", sa.Column("last_sign_in_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("user", "password_hash", existing_type=sa.VARCHAR(length=255), nullable=True)
    op.drop_constraint(op.f("ck_task_taskkind"), "task", type_="check")
    op.create_check_constraint(
        op.f("ck_task_taskkind"), "task", "kind IN ('transcription', 'download', 'playlist')"
    )
    # Transcripts that are there: good for scripts with spaces, the others when they are edited.
    op.execute("""
        UPDATE transcript SET vocabulary = strip(to_tsvector('simple', texts.words))
        FROM (SELECT transcript_id, string_agg(text, ' ') AS words FROM segment GROUP BY 1) AS texts
        WHERE texts.transcript_id = transcript.id
    """)


def downgrade() -> None:
    op.execute("DELETE FROM task WHERE kind <> 'transcription'")
    op.drop_constraint(op.f("ck_task_taskkind"), "task", type_="check")
    op.create_check_constraint(op.f("ck_task_taskkind"), "task", "kind IN ('transcription')")
    # No password matches this.
    op.execute("UPDATE \"user\" SET password_hash = '' WHERE password_hash IS NULL")
    op.alter_column("user", "password_hash", existing_type=sa.VARCHAR(length=255), nullable=False)
    op.drop_column("user", "last_sign_in_at")
    op.drop_index("ix_transcript_vocabulary", table_name="transcript", postgresql_using="gin")
    op.drop_column("transcript", "vocabulary")
    op.drop_constraint("uq_segment_transcript_index", "segment", type_="unique")
    op.create_index(
        "uq_segment_transcript_index", "segment", ["transcript_id", "index"], unique=True
    )
    op.drop_column("transcript", "reassigned")
    op.drop_column("transcript", "version")
    op.drop_constraint(op.f("fk_task_parent_id_task"), "task", type_="foreignkey")
    op.drop_index("ix_task_user_kind", table_name="task")
    op.drop_index("ix_task_user_state", table_name="task")
    op.drop_index(op.f("ix_task_parent_id"), table_name="task")
    op.drop_column("task", "result")
    op.drop_column("task", "parent_id")
    op.drop_column("segment", "edited")
    op.drop_index(op.f("ix_refresh_token_expires_at"), table_name="refresh_token")
    op.drop_column("refresh_token", "session_started_at")
    op.drop_column("refresh_token", "address")
    op.drop_column("refresh_token", "user_agent")
    op.drop_index("ix_speaker_user_label", table_name="speaker")
    op.drop_index("ix_speaker_user_display_name", table_name="speaker")
    op.create_index(op.f("ix_speaker_user_id"), "speaker", ["user_id"], unique=False)
    op.drop_index("ix_media_file_user_source", table_name="media_file")
    op.drop_index("ix_media_file_user_status", table_name="media_file")
    op.drop_index("ix_media_file_user_completed", table_name="media_file")
    op.drop_index("ix_media_file_user_size", table_name="media_file")
    op.drop_index("ix_media_file_user_filename", table_name="media_file")
    op.drop_index("ix_media_file_user_duration", table_name="media_file")
    op.drop_index("ix_task_event_created", table_name="task_event")
    op.drop_index("ix_task_created", table_name="task")
    op.drop_index("ix_media_file_created", table_name="media_file")
    op.drop_index("ix_media_file_names", table_name="media_file", postgresql_using="gin")
    op.drop_index("ix_media_file_user_created", table_name="media_file")
    op.create_index(
        op.f("ix_media_file_user_created"), "media_file", ["user_id", "created_at"], unique=False
    )
    op.drop_column("media_file", "source_url")
    op.drop_column("media_file", "description")
    op.drop_column("media_file", "author")
    op.drop_index(op.f("ix_transcript_edit_user_id"), table_name="transcript_edit")
    op.drop_index("ix_transcript_edit_file", table_name="transcript_edit")
    op.drop_table("transcript_edit")
    op.drop_index(op.f("ix_file_tag_tag_id"), table_name="file_tag")
    op.drop_table("file_tag")
    op.drop_index(op.f("ix_comment_user_id"), table_name="comment")
    op.drop_index("ix_comment_file_created", table_name="comment")
    op.drop_table("comment")
    op.drop_index(op.f("ix_collection_member_media_file_id"), table_name="collection_member")
    op.drop_table("collection_member")
    op.drop_table("analytics")
    op.drop_table("user_setting")
    op.drop_index("uq_tag_user_name", table_name="tag")
    op.drop_table("tag")
    op.drop_index(op.f("ix_external_identity_user_id"), table_name="external_identity")
    op.drop_table("external_identity")
    op.drop_table("collection")
    op.drop_table("system_setting")
    op.drop_index("ix_sign_in_attempt_address", table_name="sign_in_attempt")
    op.drop_index("ix_sign_in_attempt_account", table_name="sign_in_attempt")
    op.drop_table("sign_in_attempt")
    op.drop_index("ix_audit_event_subject", table_name="audit_event")
    op.drop_index("ix_audit_event_owner", table_name="audit_event")
    op.drop_index("ix_audit_event_created", table_name="audit_event")
    op.drop_index("ix_audit_event_actor", table_name="audit_event")
    op.drop_table("audit_event")
