"""With what probability an answer was drawn to be labelled. What was handed out before counts as chosen."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns and fill in the keys of scored responses."""
    op.add_column("assignments", sa.Column("sampling_order", sa.String))
    op.add_column("assignments", sa.Column("sampling_rate", sa.Float))
    op.add_column("assignments", sa.Column("sampling_level", sa.Float))
    op.add_column("responses", sa.Column("draw_key", sa.Float))
    op.execute("UPDATE responses SET draw_key = 2 * lot / (1 + uncertainty) WHERE uncertainty IS NOT NULL")
    op.create_index("ix_responses_source_profile_draw_key", "responses", ["source", "profile", "draw_key"])
    op.create_index("ix_assignments_sampling_order_created", "assignments", ["sampling_order", "created"])
