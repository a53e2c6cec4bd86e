"""Columns derived from a response's content, for the annotation queue and for pairs, filled in for existing rows.

Uncertainty and disagreement are filled in when the next scores and annotations arrive.
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WORDS = sa.JSON(none_as_null=True)
_BATCH = 500


def upgrade() -> None:
    """Add the columns and fill them in."""
    # The defaults are placeholders until _fill_in; without them SQLite would have to rebuild the table.
    for column in (
        sa.Column("annotatable", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("prompt_key", sa.String, nullable=False, server_default=""),
        sa.Column("text_key", sa.String, nullable=False, server_default=""),
        sa.Column("lot", sa.Float, nullable=False, server_default="0"),
        sa.Column("overlap_lot", sa.Float, nullable=False, server_default="0"),
        sa.Column("uncertainty", sa.Float),
        sa.Column("disagreement", sa.Float),
    ):
        op.add_column("responses", column)
    _fill_in(op.get_bind())
    for name in ("prompt_key", "lot", "uncertainty", "disagreement"):
        op.create_index(f"ix_responses_{name}", "responses", [name])


def _fill_in(connection: sa.Connection) -> None:
    table = sa.table(
        "responses",
        sa.column("id", sa.String),
        *(sa.column(name, WORDS) for name in ("question", "passages", "text")),
        *(sa.column(name) for name in ("annotatable", "prompt_key", "text_key", "lot", "overlap_lot")),
    )
    last = ""
    while True:
        query = sa.select(table.c.id, table.c.question, table.c.passages, table.c.text)
        rows = connection.execute(query.where(table.c.id > last).order_by(table.c.id).limit(_BATCH)).all()
        if not rows:
            return
        for row in rows:
            connection.execute(sa.update(table).where(table.c.id == row.id).values(_derived(*row)))
        last = rows[-1].id


def _derived(name: str, question: str, passages: list[dict[str, Any]], text: str) -> dict[str, Any]:
    prompt = [question, [[passage["title"], passage["text"]] for passage in passages]]
    return {
        "annotatable": bool(question and passages and text.strip()),
        "prompt_key": _key(json.dumps(prompt)),
        "text_key": _key(text),
        "lot": _draw(name),
        "overlap_lot": _draw(f"overlap {name}"),
    }


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _draw(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
