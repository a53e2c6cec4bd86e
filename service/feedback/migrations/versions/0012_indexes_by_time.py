"""Indexes for answers by time, for counting those that can be annotated, and for a person's comparisons of a pair."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add them, and drop the one that is replaced."""
    op.create_index("ix_responses_source_created_id", "responses", ["source", "created", "id"])
    op.create_index("ix_responses_source_profile_created_id", "responses", ["source", "profile", "created", "id"])
    op.create_index(
        "ix_responses_annotatable",
        "responses",
        ["created"],
        sqlite_where=sa.text("annotatable = 1"),
        postgresql_where=sa.text("annotatable"),
    )
    op.create_index("ix_comparisons_annotator_id_a_b", "comparisons", ["annotator_id", "a", "b"])
    op.drop_index("ix_comparisons_annotator_id", "comparisons")
