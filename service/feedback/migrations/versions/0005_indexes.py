"""Indexes for the newest score, and for a queue that hands out served responses before imported ones."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add them, and drop those that they replace."""
    op.create_index("ix_scores_created", "scores", ["created"])
    for name in ("lot", "uncertainty", "disagreement"):
        op.create_index(f"ix_responses_source_{name}", "responses", ["source", name])
        op.drop_index(f"ix_responses_{name}", "responses")
