"""The tables of the feedback store.

Texts that people or models wrote are JSON strings, which can escape every character: PostgreSQL's text type cannot hold
U+0000, but a response may contain it. Offsets are code points into the response's text, end exclusive.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Words = JSON(none_as_null=True)
"""A text, or a structure that contains texts."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC with microseconds, since SQLite has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every table. Constraints have names, because migrations refer to them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )


def _response() -> Mapped[str]:
    return mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), index=True)


def _annotator() -> Mapped[int]:
    return mapped_column(ForeignKey("annotators.id", ondelete="CASCADE"), index=True)


class Response(Base):
    """A served or imported response, with its question and passages."""

    __tablename__ = "responses"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    created: Mapped[datetime] = mapped_column(Moment)
    """When it was stored."""
    profile: Mapped[str | None] = mapped_column(String)
    policy: Mapped[str | None] = mapped_column(String)
    """The policy's version."""
    weights: Mapped[dict[str, float] | None] = mapped_column(Words)
    question: Mapped[str] = mapped_column(Words)
    """Empty for prompts and conversations, which are not stored."""
    passages: Mapped[list[dict[str, Any]]] = mapped_column(Words)
    text: Mapped[str] = mapped_column(Words)
    finish_reason: Mapped[str | None] = mapped_column(String)
    source: Mapped[str] = mapped_column(String)
    """`served` or `imported`."""
    caller: Mapped[str | None] = mapped_column(String, index=True)
    extra: Mapped[dict[str, Any] | None] = mapped_column(Words)
    """Further content of an imported file, exported again."""
    annotatable: Mapped[bool]
    """Whether it has a question, a passage and a text."""
    prompt_key: Mapped[str] = mapped_column(String)
    """Equal for responses to the same question and passages, which can be compared."""
    text_key: Mapped[str] = mapped_column(String)
    """Equal for equal texts."""
    lot: Mapped[float] = mapped_column(Float)
    """Place in a random order, from 0 to 1."""
    overlap_lot: Mapped[float] = mapped_column(Float)
    """Two people annotate the responses whose value, from 0 to 1, is below the store's overlap."""
    uncertainty: Mapped[float | None] = mapped_column(Float)
    """How uncertain the reward models are, from 0 to 1; None until scored."""
    disagreement: Mapped[float | None] = mapped_column(Float)
    """How far its raters (people and reward models) differ, from 0 to 1; None until it has two."""
    draw_key: Mapped[float | None] = mapped_column(Float)
    """Its place in the random order for the error rate, where the models' uncertainty counts; None until scored."""

    __table_args__ = (
        Index(None, "created", "id"),
        Index(None, "prompt_key"),
        # The queue serves one source after the other, each in one of three orders.
        Index(None, "source", "lot"),
        Index(None, "source", "uncertainty"),
        Index(None, "source", "disagreement"),
        Index(None, "source", "profile", "draw_key"),
        # Error rates are those of served answers since a time, of all profiles or of one.
        Index(None, "source", "created", "id"),
        Index(None, "source", "profile", "created", "id"),
        # Counting needs no rows, which are long.
        Index(
            "ix_responses_annotatable",
            "created",
            sqlite_where=sql("annotatable = 1"),
            postgresql_where=sql("annotatable"),
        ),
    )


class Score(Base):
    """The reward models' scores of a response."""

    __tablename__ = "scores"

    response_id: Mapped[str] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True)
    rewards: Mapped[str] = mapped_column(String, primary_key=True)
    """Version of the reward models."""
    labels: Mapped[str | None] = mapped_column(String)
    """Version of the label heads, if any named the errors."""
    json: Mapped[dict[str, Any]] = mapped_column(Words)
    """In the shape of ScoredResponse.as_json."""
    created: Mapped[datetime] = mapped_column(Moment, index=True)


class Annotator(Base):
    """A person who annotates."""

    __tablename__ = "annotators"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)
    """As it was first written, without outer space."""
    key: Mapped[str] = mapped_column(String, index=True)
    """Equal for names that differ in case and outer space alone: these are one person. Stores from before may have two
    rows with the same key; each is then found by its exact name."""
    created: Mapped[datetime] = mapped_column(Moment)
    retired: Mapped[datetime | None] = mapped_column(Moment)
    caller: Mapped[str | None] = mapped_column(String)
    """The key that the name belongs to, for example `key:3f9a1c20`; None until a key uses it."""


class Assignment(Base):
    """A response handed to an annotator."""

    __tablename__ = "assignments"

    response_id: Mapped[str] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True)
    annotator_id: Mapped[int] = mapped_column(
        ForeignKey("annotators.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    state: Mapped[str] = mapped_column(String)
    """`open`, `drafted`, `submitted` or `skipped`."""
    draft: Mapped[dict[str, Any] | None] = mapped_column(Words)
    skip_reason: Mapped[str | None] = mapped_column(Words)
    judged: Mapped[list[dict[str, Any]] | None] = mapped_column(Words)
    """Whether the passages support each sentence, where the annotator has judged these instead of annotating."""
    created: Mapped[datetime] = mapped_column(Moment)
    updated: Mapped[datetime] = mapped_column(Moment)
    sampling_order: Mapped[str | None] = mapped_column(String)
    """The order that drew the response at random; None if somebody or the order chose it."""
    sampling_rate: Mapped[float | None] = mapped_column(Float)
    """How likely the order draws it, compared with a response of rate 1."""
    sampling_level: Mapped[float | None] = mapped_column(Float)
    """How far the order had come: by then it had drawn a response with the probability `rate * level`."""

    __table_args__ = (Index(None, "sampling_order", "created"),)


class Annotation(Base):
    """One version of an annotator's feedback on a response. Rows never change; a correction is a further version."""

    __tablename__ = "annotations"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    submission_id: Mapped[str] = mapped_column(String, unique=True)
    response_id: Mapped[str] = _response()
    annotator_id: Mapped[int] = _annotator()
    version: Mapped[int]
    errors: Mapped[list[dict[str, Any]]] = mapped_column(Words)
    missing: Mapped[list[dict[str, Any]]] = mapped_column(Words)
    corrected: Mapped[str | None] = mapped_column(Words)
    suggestions: Mapped[list[dict[str, Any]]] = mapped_column(Words)
    """Errors that the reward models suggested, and what the annotator did about each."""
    seconds: Mapped[float | None] = mapped_column(Float)
    """Time the annotator took."""
    created: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (UniqueConstraint("response_id", "annotator_id", "version"), Index(None, "created", "id"))


class QuickFeedback(Base):
    """A thumb, spans and a comment from an application."""

    __tablename__ = "quick_feedback"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    submission_id: Mapped[str] = mapped_column(String, unique=True)
    response_id: Mapped[str] = _response()
    caller: Mapped[str] = mapped_column(String, index=True)
    thumb: Mapped[int]
    spans: Mapped[list[dict[str, Any]]] = mapped_column(Words)
    comment: Mapped[str | None] = mapped_column(Words)
    created: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index(None, "created", "id"),)


class Comparison(Base):
    """Which of two responses to one prompt is better. Of several by one annotator the latest counts."""

    __tablename__ = "comparisons"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    submission_id: Mapped[str] = mapped_column(String, unique=True)
    a: Mapped[str] = _response()
    b: Mapped[str] = _response()
    shown_first: Mapped[str | None] = mapped_column(String)
    """`a` or `b`; None where an imported file does not say."""
    choice: Mapped[str] = mapped_column(String)
    """`a`, `b`, `tie` or `neither`."""
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotators.id", ondelete="CASCADE"))
    created: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index(None, "created", "id"), Index(None, "annotator_id", "a", "b"))


class SkippedPair(Base):
    """Two responses that an annotator did not compare, and why."""

    __tablename__ = "skipped_pairs"

    a: Mapped[str] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True)
    b: Mapped[str] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True, index=True)
    annotator_id: Mapped[int] = mapped_column(
        ForeignKey("annotators.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    reason: Mapped[str] = mapped_column(Words)
    created: Mapped[datetime] = mapped_column(Moment)


class Audit(Base):
    """Who did what to the store, and when."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    who: Mapped[str | None] = mapped_column(String, index=True)
    """None for the operator, and for a person whose data were deleted."""
    action: Mapped[str] = mapped_column(String)
    what: Mapped[str] = mapped_column(String)
