"""Feedback to fit on, from a file or from the feedback store."""

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
class FoundFeedback:
    """Feedback, and how it is identified."""

    name: str
    digest: str
    """SHA-256 of the file, or of all that people say in the store."""
    examples: list["FeedbackExample"]
    """An annotation each."""


def is_store(data: str) -> bool:
    """Whether it is the URL of a feedback store rather than a file."""
    return _STORE.match(data) is not None


def load_feedback_from(data: str | None) -> FoundFeedback:
    """The feedback of a file or a store; of the default file for None.

    Raises FgctlError when it cannot be read, or there is none.
    """
    from rewards.dataset import data_file, feedback_examples, file_digest, load_feedback

    if data is None or not is_store(data):
        path = Path(data) if data else data_file("feedback")
        return FoundFeedback(path.name, file_digest(path) if path.is_file() else "", load_feedback(path))
    from service.feedback.exchange.item import content_digest
    from service.feedback.exchange.qa_feedback import row

    name, items = store_name(data), asyncio.run(_items(data))
    if not items:
        raise FgctlError(f"Nobody has annotated anything in {name}; annotate answers or import some feedback.")
    digest = hashlib.sha256("\n".join(sorted(map(content_digest, items))).encode()).hexdigest()
    return FoundFeedback(name, digest, feedback_examples([row(item) for item in items], name))


def store_name(url: str) -> str:
    """What a store is called in records: its file's name, or its host and database, without anybody's password."""
    from service.feedback.store.database import async_url

    parsed = async_url(url)
    if parsed.drivername.startswith("sqlite"):
        return Path(parsed.database or "").name
    return f"{parsed.host or 'localhost'}/{parsed.database or ''}"


async def _items(url: str) -> list["Item"]:
    from service.feedback.exchange.transfer import export_items
    from service.feedback.store.feedback_store import open_store

    store = await open_store(url)
    try:
        return [item async for item in export_items(store, borrowing=True)]
    finally:
        await store.close()
