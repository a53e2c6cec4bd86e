"""Span feedback to fit on, from a file or from the feedback store."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.dataset import FeedbackExample
    from service.feedback.exchange.item import Item

_STORE = re.compile(r"(sqlite|postgres(ql)?)(\+\w+)?:")


@dataclass(frozen=True)
class LoadedFeedback:
    """Feedback, with its name and digest for the records."""

    name: str
    digest: str
    """SHA-256 of the file, or of all feedback in the store."""
    examples: list["FeedbackExample"]
    """One for each annotation."""


def is_store(data: str) -> bool:
    """Whether `data` is the URL of a feedback store rather than a file."""
    return _STORE.match(data) is not None


def load_feedback_from(data: str | None) -> LoadedFeedback:
    """Load the feedback of a file or a store; None means the default file.

    Raises FgctlError when it cannot be read, or when there is none.
    """
    from rewards.dataset import data_file, feedback_examples, file_digest, load_feedback

    if data is None or not is_store(data):
        path = Path(data) if data else data_file("feedback")
        return LoadedFeedback(path.name, file_digest(path) if path.is_file() else "", load_feedback(path))
    from service.feedback.exchange.item import content_digest
    from service.feedback.exchange.qa_feedback import row

    name, items = store_name(data), asyncio.run(_items(data))
    if not items:
        raise FgctlError(f"There are no annotations in {name}; annotate answers or import feedback.")
    digest = hashlib.sha256("\n".join(sorted(map(content_digest, items))).encode()).hexdigest()
    return LoadedFeedback(name, digest, feedback_examples([row(item) for item in items], name))


def require_enough_questions(count: int, name: str) -> None:
    """Raise FgctlError for fewer questions than fitting and cross-validation need."""
    from rewards.fitting.folds import MIN_QUESTIONS

    if count < MIN_QUESTIONS:
        raise FgctlError(
            f"{name} has {count} questions to fit on that are not held out; at least {MIN_QUESTIONS} are needed."
        )


def store_name(url: str) -> str:
    """The name of a store in records: its file's name, or its host and database, without credentials."""
    from service.feedback.store.database import async_url

    parsed = async_url(url)
    if parsed.drivername.startswith("sqlite"):
        return Path(parsed.database or "").name
    return f"{parsed.host or 'localhost'}/{parsed.database or ''}"


async def _items(url: str) -> list["Item"]:
    from service.feedback.exchange.exporting import export_items
    from service.feedback.store.feedback_store import open_store

    store = await open_store(url)
    try:
        return [item async for item in export_items(store, borrowing=True)]
    finally:
        await store.close()
