"""voices across recordings: profiles, matches, rejections, clusters, enrolments, changes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_task_taskkind"), "task", type_="check")
    op.create_check_constraint(
        op.f("ck_task_taskkind"),
        "task",
        "kind IN ('transcription', 'download', 'playlist', 'voiceprints', 'enrolment', "
        "'clustering')",
    )
    op.drop_constraint(op.f("ck_outbox_destination"), "outbox", type_="check")
    op.create_check_constraint(
        op.f("ck_outbox_destination"), "outbox", "destination IN ('objects', 'vectors')"
    )
    op.add_column("outbox", sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "speaker_change",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "named",
                "accepted",
                "rejected",
                "propagated",
                "unassigned",
                "auto_accepted",
                "undone",
                name="changeaction",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("undone", sa.Boolean(), server_default=sa.text("false"), nullable=False),
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
            name=op.f("fk_speaker_change_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_speaker_change")),
    )
    op.create_index(
        "ix_speaker_change_user", "speaker_change", ["user_id", "created_at"], unique=False
    )
    op.create_index(
        "ix_speaker_change_after", "speaker_change", ["after"], unique=False, postgresql_using="gin"
    )
    op.create_table(
        "speaker_cluster",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("label", sa.String(length=255), nullable=True),
        sa.Column("embedding_model", sa.String(length=128), nullable=False),
        sa.Column("kept", sa.Boolean(), server_default="false", nullable=False),
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
            name=op.f("fk_speaker_cluster_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_speaker_cluster")),
    )
    op.create_index(
        "ix_speaker_cluster_user", "speaker_cluster", ["user_id", "created_at"], unique=False
    )
    op.create_table(
        "speaker_collection",
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
            ["user_id"],
            ["user.id"],
            name=op.f("fk_speaker_collection_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_speaker_collection")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_speaker_collection_user_id_name")),
    )
    op.create_table(
        "speaker_profile",
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
            ["user_id"],
            ["user.id"],
            name=op.f("fk_speaker_profile_user_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_speaker_profile")),
    )
    op.create_index(
        "uq_speaker_profile_user_name",
        "speaker_profile",
        ["user_id", sa.literal_column("lower(name)")],
        unique=True,
    )
    op.create_table(
        "enrolment",
        sa.Column("profile_id", sa.UUID(), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("object_key", sa.String(length=500), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("clean_seconds", sa.Double(), nullable=False),
        sa.Column("embedding", postgresql.ARRAY(sa.REAL()), nullable=True),
        sa.Column("embedding_model", sa.String(length=128), nullable=True),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["speaker_profile.id"],
            name=op.f("fk_enrolment_profile_id_speaker_profile"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment")),
    )
    op.create_index(op.f("ix_enrolment_profile_id"), "enrolment", ["profile_id"], unique=False)
    op.create_table(
        "profile_voiceprint",
        sa.Column("profile_id", sa.UUID(), nullable=False),
        sa.Column("embedding_model", sa.String(length=128), nullable=False),
        sa.Column("embedding", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("clean_seconds", sa.Double(), nullable=False),
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
            ["profile_id"],
            ["speaker_profile.id"],
            name=op.f("fk_profile_voiceprint_profile_id_speaker_profile"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "profile_id", "embedding_model", name=op.f("pk_profile_voiceprint")
        ),
    )
    op.create_table(
        "speaker_collection_member",
        sa.Column("collection_id", sa.UUID(), nullable=False),
        sa.Column("profile_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["speaker_collection.id"],
            name=op.f("fk_speaker_collection_member_collection_id_speaker_collection"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["speaker_profile.id"],
            name=op.f("fk_speaker_collection_member_profile_id_speaker_profile"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "collection_id", "profile_id", name=op.f("pk_speaker_collection_member")
        ),
    )
    op.create_index(
        op.f("ix_speaker_collection_member_profile_id"),
        "speaker_collection_member",
        ["profile_id"],
        unique=False,
    )
    op.create_table(
        "cannot_link",
        sa.Column("first_id", sa.UUID(), nullable=False),
        sa.Column("second_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("first_id < second_id", name=op.f("ck_cannot_link_in_order")),
        sa.ForeignKeyConstraint(
            ["first_id"],
            ["speaker.id"],
            name=op.f("fk_cannot_link_first_id_speaker"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["second_id"],
            ["speaker.id"],
            name=op.f("fk_cannot_link_second_id_speaker"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("first_id", "second_id", name=op.f("pk_cannot_link")),
    )
    op.create_index(op.f("ix_cannot_link_second_id"), "cannot_link", ["second_id"], unique=False)
    op.create_table(
        "profile_match",
        sa.Column("speaker_id", sa.UUID(), nullable=False),
        sa.Column("profile_id", sa.UUID(), nullable=False),
        sa.Column("similarity", sa.REAL(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["speaker_profile.id"],
            name=op.f("fk_profile_match_profile_id_speaker_profile"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speaker.id"],
            name=op.f("fk_profile_match_speaker_id_speaker"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("speaker_id", "profile_id", name=op.f("pk_profile_match")),
    )
    op.create_index(
        op.f("ix_profile_match_profile_id"), "profile_match", ["profile_id"], unique=False
    )
    op.create_table(
        "profile_rejection",
        sa.Column("speaker_id", sa.UUID(), nullable=False),
        sa.Column("profile_id", sa.UUID(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["speaker_profile.id"],
            name=op.f("fk_profile_rejection_profile_id_speaker_profile"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speaker.id"],
            name=op.f("fk_profile_rejection_speaker_id_speaker"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("speaker_id", "profile_id", name=op.f("pk_profile_rejection")),
    )
    op.create_index(
        op.f("ix_profile_rejection_profile_id"), "profile_rejection", ["profile_id"], unique=False
    )
    op.create_table(
        "speaker_match",
        sa.Column("first_id", sa.UUID(), nullable=False),
        sa.Column("second_id", sa.UUID(), nullable=False),
        sa.Column("similarity", sa.REAL(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("first_id < second_id", name=op.f("ck_speaker_match_in_order")),
        sa.ForeignKeyConstraint(
            ["first_id"],
            ["speaker.id"],
            name=op.f("fk_speaker_match_first_id_speaker"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["second_id"],
            ["speaker.id"],
            name=op.f("fk_speaker_match_second_id_speaker"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("first_id", "second_id", name=op.f("pk_speaker_match")),
    )
    op.create_index(
        op.f("ix_speaker_match_second_id"), "speaker_match", ["second_id"], unique=False
    )
    op.add_column(
        "speaker",
        sa.Column(
            "name_source",
            sa.Enum(
                "person",
                "voice",
                name="namesource",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
    )
    op.add_column("speaker", sa.Column("profile_id", sa.UUID(), nullable=True))
    op.add_column(
        "speaker", sa.Column("verified", sa.Boolean(), server_default="false", nullable=False)
    )
    op.add_column(
        "speaker", sa.Column("clean_seconds", sa.Double(), server_default="0", nullable=False)
    )
    op.add_column(
        "speaker",
        sa.Column("voiceprint_erased", sa.Boolean(), server_default="false", nullable=False),
    )
    op.add_column("speaker", sa.Column("cluster_id", sa.UUID(), nullable=True))
    op.add_column("speaker", sa.Column("cluster_similarity", sa.REAL(), nullable=True))
    op.create_index(op.f("ix_speaker_cluster_id"), "speaker", ["cluster_id"], unique=False)
    op.create_index(op.f("ix_speaker_profile_id"), "speaker", ["profile_id"], unique=False)
    op.create_index("ix_speaker_user_created", "speaker", ["user_id", "created_at"], unique=False)
    op.create_index(
        "ix_speaker_user_unnamed",
        "speaker",
        ["user_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("display_name IS NULL"),
    )
    op.create_foreign_key(
        op.f("fk_speaker_cluster_id_speaker_cluster"),
        "speaker",
        "speaker_cluster",
        ["cluster_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_foreign_key(
        op.f("fk_speaker_profile_id_speaker_profile"),
        "speaker",
        "speaker_profile",
        ["profile_id"],
        ["id"],
        ondelete="SET NULL",
    )

    # How much of it nobody else talked into was not measured then.
    op.execute("UPDATE speaker SET clean_seconds = speech_seconds")
    op.execute("UPDATE speaker SET name_source = 'person' WHERE display_name IS NOT NULL")
    op.execute(
        "INSERT INTO outbox (destination, subject, payload) "
        "SELECT DISTINCT 'vectors', 'file/' || media_file_id, "
        "jsonb_build_object('user_id', user_id) FROM speaker WHERE embedding IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("fk_speaker_profile_id_speaker_profile"), "speaker", type_="foreignkey")
    op.drop_constraint(op.f("fk_speaker_cluster_id_speaker_cluster"), "speaker", type_="foreignkey")
    op.drop_index("ix_speaker_user_created", table_name="speaker")
    op.drop_index(
        "ix_speaker_user_unnamed",
        table_name="speaker",
        postgresql_where=sa.text("display_name IS NULL"),
    )
    op.drop_index(op.f("ix_speaker_profile_id"), table_name="speaker")
    op.drop_index(op.f("ix_speaker_cluster_id"), table_name="speaker")
    op.drop_column("speaker", "cluster_similarity")
    op.drop_column("speaker", "cluster_id")
    op.drop_column("speaker", "voiceprint_erased")
    op.drop_column("speaker", "clean_seconds")
    op.drop_column("speaker", "verified")
    op.drop_column("speaker", "profile_id")
    op.drop_column("speaker", "name_source")
    op.drop_index(op.f("ix_speaker_match_second_id"), table_name="speaker_match")
    op.drop_table("speaker_match")
    op.drop_index(op.f("ix_profile_rejection_profile_id"), table_name="profile_rejection")
    op.drop_table("profile_rejection")
    op.drop_index(op.f("ix_profile_match_profile_id"), table_name="profile_match")
    op.drop_table("profile_match")
    op.drop_index(op.f("ix_cannot_link_second_id"), table_name="cannot_link")
    op.drop_table("cannot_link")
    op.drop_index(
        op.f("ix_speaker_collection_member_profile_id"), table_name="speaker_collection_member"
    )
    op.drop_table("speaker_collection_member")
    op.drop_table("profile_voiceprint")
    op.drop_index(op.f("ix_enrolment_profile_id"), table_name="enrolment")
    op.drop_table("enrolment")
    op.drop_index("uq_speaker_profile_user_name", table_name="speaker_profile")
    op.drop_table("speaker_profile")
    op.drop_table("speaker_collection")
    op.drop_index("ix_speaker_cluster_user", table_name="speaker_cluster")
    op.drop_table("speaker_cluster")
    op.drop_index("ix_speaker_change_after", table_name="speaker_change", postgresql_using="gin")
    op.drop_index("ix_speaker_change_user", table_name="speaker_change")
    op.drop_table("speaker_change")
    op.drop_column("outbox", "failures")
    op.execute("DELETE FROM outbox WHERE destination = 'vectors'")
    op.drop_constraint(op.f("ck_outbox_destination"), "outbox", type_="check")
    op.create_check_constraint(op.f("ck_outbox_destination"), "outbox", "destination = 'objects'")
    op.execute("DELETE FROM task WHERE kind IN ('voiceprints', 'enrolment', 'clustering')")
    op.drop_constraint(op.f("ck_task_taskkind"), "task", type_="check")
    op.create_check_constraint(
        op.f("ck_task_taskkind"), "task", "kind IN ('transcription', 'download', 'playlist')"
    )
