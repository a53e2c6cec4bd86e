"""The tables: responses, scores, annotators, annotations, comparisons, quick feedback, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)
WORDS = sa.JSON(none_as_null=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "annotators",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("retired", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_annotators"),
        sa.UniqueConstraint("name", name="uq_annotators_name"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("who", sa.String, nullable=True),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_who", "audit", ["who"])
    op.create_table(
        "responses",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("profile", sa.String, nullable=True),
        sa.Column("policy", sa.String, nullable=True),
        sa.Column("weights", WORDS, nullable=True),
        sa.Column("question", WORDS, nullable=False),
        sa.Column("passages", WORDS, nullable=False),
        sa.Column("text", WORDS, nullable=False),
        sa.Column("finish_reason", sa.String, nullable=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("caller", sa.String, nullable=True),
        sa.Column("extra", WORDS, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_responses"),
    )
    op.create_index("ix_responses_caller", "responses", ["caller"])
    op.create_index("ix_responses_created_id", "responses", ["created", "id"])
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("submission_id", sa.String, nullable=False),
        sa.Column("response_id", sa.String, nullable=False),
        sa.Column("annotator_id", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("errors", WORDS, nullable=False),
        sa.Column("missing", WORDS, nullable=False),
        sa.Column("corrected", WORDS, nullable=True),
        sa.Column("suggestions", WORDS, nullable=False),
        sa.Column("seconds", sa.Float, nullable=True),
        sa.Column("created", MOMENT, nullable=False),
        _cascading("annotator_id", "annotators", "fk_annotations_annotator_id"),
        _cascading("response_id", "responses", "fk_annotations_response_id"),
        sa.PrimaryKeyConstraint("id", name="pk_annotations"),
        sa.UniqueConstraint(
            "response_id", "annotator_id", "version", name="uq_annotations_response_id_annotator_id_version"
        ),
        sa.UniqueConstraint("submission_id", name="uq_annotations_submission_id"),
    )
    op.create_index("ix_annotations_annotator_id", "annotations", ["annotator_id"])
    op.create_index("ix_annotations_created_id", "annotations", ["created", "id"])
    op.create_index("ix_annotations_response_id", "annotations", ["response_id"])
    op.create_table(
        "assignments",
        sa.Column("response_id", sa.String, nullable=False),
        sa.Column("annotator_id", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("draft", WORDS, nullable=True),
        sa.Column("skip_reason", WORDS, nullable=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("updated", MOMENT, nullable=False),
        _cascading("annotator_id", "annotators", "fk_assignments_annotator_id"),
        _cascading("response_id", "responses", "fk_assignments_response_id"),
        sa.PrimaryKeyConstraint("response_id", "annotator_id", name="pk_assignments"),
    )
    op.create_index("ix_assignments_annotator_id", "assignments", ["annotator_id"])
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("submission_id", sa.String, nullable=False),
        sa.Column("a", sa.String, nullable=False),
        sa.Column("b", sa.String, nullable=False),
        sa.Column("shown_first", sa.String, nullable=True),
        sa.Column("choice", sa.String, nullable=False),
        sa.Column("annotator_id", sa.Integer, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        _cascading("a", "responses", "fk_comparisons_a"),
        _cascading("annotator_id", "annotators", "fk_comparisons_annotator_id"),
        _cascading("b", "responses", "fk_comparisons_b"),
        sa.PrimaryKeyConstraint("id", name="pk_comparisons"),
        sa.UniqueConstraint("submission_id", name="uq_comparisons_submission_id"),
    )
    op.create_index("ix_comparisons_a", "comparisons", ["a"])
    op.create_index("ix_comparisons_annotator_id", "comparisons", ["annotator_id"])
    op.create_index("ix_comparisons_b", "comparisons", ["b"])
    op.create_index("ix_comparisons_created_id", "comparisons", ["created", "id"])
    op.create_table(
        "quick_feedback",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("submission_id", sa.String, nullable=False),
        sa.Column("response_id", sa.String, nullable=False),
        sa.Column("caller", sa.String, nullable=False),
        sa.Column("thumb", sa.Integer, nullable=False),
        sa.Column("spans", WORDS, nullable=False),
        sa.Column("comment", WORDS, nullable=True),
        sa.Column("created", MOMENT, nullable=False),
        _cascading("response_id", "responses", "fk_quick_feedback_response_id"),
        sa.PrimaryKeyConstraint("id", name="pk_quick_feedback"),
        sa.UniqueConstraint("submission_id", name="uq_quick_feedback_submission_id"),
    )
    op.create_index("ix_quick_feedback_caller", "quick_feedback", ["caller"])
    op.create_index("ix_quick_feedback_created_id", "quick_feedback", ["created", "id"])
    op.create_index("ix_quick_feedback_response_id", "quick_feedback", ["response_id"])
    op.create_table(
        "scores",
        sa.Column("response_id", sa.String, nullable=False),
        sa.Column("rewards", sa.String, nullable=False),
        sa.Column("labels", sa.String, nullable=True),
        sa.Column("json", WORDS, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        _cascading("response_id", "responses", "fk_scores_response_id"),
        sa.PrimaryKeyConstraint("response_id", "rewards", name="pk_scores"),
    )


def _cascading(column: str, table: str, name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{table}.id"], name=name, ondelete="CASCADE")
