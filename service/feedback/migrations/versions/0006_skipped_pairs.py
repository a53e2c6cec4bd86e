"""Pairs that an annotator skips, with the reason."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table."""
    cascades = {"a": "responses", "b": "responses", "annotator_id": "annotators"}
    op.create_table(
        "skipped_pairs",
        sa.Column("a", sa.String, nullable=False),
        sa.Column("b", sa.String, nullable=False),
        sa.Column("annotator_id", sa.Integer, nullable=False),
        sa.Column("reason", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], f"fk_skipped_pairs_{column}", ondelete="CASCADE")
            for column, table in cascades.items()
        ),
        sa.PrimaryKeyConstraint("a", "b", "annotator_id", name="pk_skipped_pairs"),
    )
    op.create_index("ix_skipped_pairs_b", "skipped_pairs", ["b"])
    op.create_index("ix_skipped_pairs_annotator_id", "skipped_pairs", ["annotator_id"])
