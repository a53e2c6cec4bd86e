"""Which key an annotator's name belongs to. Existing names belong to no key until a key uses them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("annotators", sa.Column("caller", sa.String))
