"""What can go wrong with feedback, with its HTTP status."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.errors import Invalid, NotFound, ServiceError, Unavailable

if TYPE_CHECKING:
    from service.feedback.validation import Violation


class Conflict(ServiceError):
    """The id of a submission that is kept with other content."""

    status, type = 409, "conflict"


class NotStored(NotFound):
    """A response or annotator that the store does not have."""


class Refused(Invalid):
    """A submission against the rules of annotation; the message is the first violation's."""

    def __init__(self, violations: Sequence["Violation"]) -> None:
        first = violations[0]
        super().__init__(first.message, first.field)
        self.violations = tuple(violations)
        self.details = {"violations": [violation.as_json() for violation in violations]}


class StoreFailed(Unavailable):
    """The database is full, gone or locked; nothing of the submission is kept."""
