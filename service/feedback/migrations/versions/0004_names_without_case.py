"""Names that differ in case and outer space alone are one person. Those that two people have already stay apart."""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, fill it in and index it."""
    # The default is a placeholder; without one SQLite would have to rebuild the table.
    op.add_column("annotators", sa.Column("key", sa.String, nullable=False, server_default=""))
    table = sa.table(
        "annotators", sa.column("id", sa.Integer), sa.column("name", sa.String), sa.column("key", sa.String)
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(table.c.id, table.c.name)).all():
        key = unicodedata.normalize("NFKC", row.name).casefold().strip()
        connection.execute(sa.update(table).where(table.c.id == row.id).values(key=key))
    op.create_index("ix_annotators_key", "annotators", ["key"])
