"""What can go wrong with feedback, with its HTTP status."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.errors import InvalidRequest, NotFound, ServiceError, Unavailable

if TYPE_CHECKING:
    from service.feedback.validation import Violation


class Conflict(ServiceError):
    """A submission id that is already stored with different content."""

    status, type = 409, "conflict"


class Stale(Conflict):
    """A submission that replaces what its sender has not seen."""

    def __init__(self, message: str, version: int, question: str) -> None:
        """`version` is what the sender would be based on to replace it, which `question` asks the person."""
        super().__init__(message, "based_on")
        self.details = {"version": version, "question": question}


class HasFeedback(ServiceError):
    """A response that its caller may not delete, because somebody has given feedback on it or begun to."""

    status, type = 409, "conflict"


class NotStored(NotFound):
    """A response or annotator that is not in the store."""


class Refused(InvalidRequest):
    """A submission that breaks the annotation rules; the message is that of the first violation."""

    def __init__(self, violations: Sequence["Violation"]) -> None:
        first = violations[0]
        super().__init__(first.message, first.field)
        self.violations = tuple(violations)
        self.details = {"violations": [violation.as_json() for violation in violations]}


class StoreFailed(Unavailable):
    """The database is full, gone or locked; nothing of the submission was stored."""
