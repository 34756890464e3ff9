"""search: passages in two stores, and what they have of each file."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KINDS = (
    "'transcription', 'download', 'playlist', 'voiceprints', 'enrolment', 'clustering', "
    "'summarization', 'speaker_identification', 'topic_extraction'"
)
DESTINATIONS = "'objects', 'vectors'"
NEW_DESTINATIONS = "'keywords', 'passages'"


def _allow(kinds: str, destinations: str) -> None:
    op.drop_constraint(op.f("ck_task_taskkind"), "task", type_="check")
    op.create_check_constraint(op.f("ck_task_taskkind"), "task", f"kind IN ({kinds})")
    op.drop_constraint(op.f("ck_outbox_destination"), "outbox", type_="check")
    op.create_check_constraint(
        op.f("ck_outbox_destination"), "outbox", f"destination IN ({destinations})"
    )


def upgrade() -> None:
    _allow(f"{KINDS}, 'search_index'", f"{DESTINATIONS}, {NEW_DESTINATIONS}")
    op.create_table(
        "indexed_file",
        sa.Column("media_file_id", sa.UUID(), nullable=False),
        sa.Column(
            "destination",
            sa.Enum(
                "objects",
                "vectors",
                "keywords",
                "passages",
                name="destination",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("place", sa.String(length=150), nullable=False),
        sa.Column("transcript_version", sa.Integer(), nullable=False),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column(
            "indexed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"],
            ["media_file.id"],
            name=op.f("fk_indexed_file_media_file_id_media_file"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "media_file_id", "destination", "place", name=op.f("pk_indexed_file")
        ),
    )
    op.create_index("ix_indexed_file_place", "indexed_file", ["destination", "place"])
    # What is there already is brought to both stores.
    op.execute(
        "INSERT INTO outbox (destination, subject, payload) "
        "SELECT destination, 'file/' || media_file.id, "
        "jsonb_build_object('user_id', media_file.user_id) "
        "FROM media_file JOIN transcript ON transcript.media_file_id = media_file.id "
        "CROSS JOIN (VALUES ('keywords'), ('passages')) AS stores (destination)"
    )


def downgrade() -> None:
    op.execute("DELETE FROM outbox WHERE destination IN ('keywords', 'passages')")
    op.execute("DELETE FROM task WHERE kind = 'search_index'")
    op.drop_index("ix_indexed_file_place", table_name="indexed_file")
    op.drop_table("indexed_file")
    _allow(KINDS, DESTINATIONS)
