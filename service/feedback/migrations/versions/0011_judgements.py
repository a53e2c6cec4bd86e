"""What annotators say of single sentences, beside full annotations."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column."""
    op.add_column("assignments", sa.Column("judged", sa.JSON))
