"""The shapes of Argilla's exports, and whose answers in them count.

- `to_list(flatten=True)` of Argilla 2: columns `QUESTION.responses`, `.responses.users` and `.responses.status`.
- `to_json` and `to_list()` of Argilla 2: `responses: {QUESTION: [{value, user_id}]}` and no status of an answer; the
  record is `completed` or `pending`.
- Argilla 1: `responses: [{user_id, values: {QUESTION: {value}}, status}]`.

Only submitted answers count. Where answers have no status, those of a pending record may be drafts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, TypeAdapter

_COLUMN = ".responses"
UNFINISHED = "drafts and discarded answers"


class _Answer(BaseModel):
    value: Any = None
    user_id: str | None = None
    status: str | None = None


class _OldValue(BaseModel):
    value: Any = None


class _OldResponse(BaseModel):
    user_id: str | None = None
    values: dict[str, _OldValue] | None = None
    status: str | None = None


_NESTED = TypeAdapter(dict[str, list[_Answer] | None])
_OLD = TypeAdapter(list[_OldResponse])
_COLUMNS = TypeAdapter(list[Any])


@dataclass
class Answers:
    """One user's answers to a record, by question."""

    values: dict[str, Any] = field(default_factory=dict)
    status: str | None = None
    """`submitted`, `draft` or `discarded`; None in an export without."""


def fields_of(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record. Raises ValueError for a record that has none."""
    if "responses" not in record and any(name.endswith(_COLUMN) for name in record):
        return record
    fields = record.get("fields")
    if not isinstance(fields, dict):
        raise ValueError("It has no fields and responses; export the records of Argilla 2 by to_list(flatten=True).")
    return fields


def answers_of(record: dict[str, Any]) -> dict[str | None, Answers]:
    """What each user answered to a record. Raises ValueError for a shape that Argilla does not write."""
    people: dict[str | None, Answers] = {}
    for question, answer in _all(record):
        answers = people.setdefault(answer.user_id, Answers())
        answers.status = answers.status or answer.status
        if question is not None and answer.value is not None:
            answers.values[question] = answer.value
    return people


def _all(record: dict[str, Any]) -> Iterator[tuple[str | None, _Answer]]:
    responses = record.get("responses")
    if isinstance(responses, list):
        for old in _OLD.validate_python(responses):
            yield None, _Answer(user_id=old.user_id, status=old.status)
            for question, value in (old.values or {}).items():
                yield question, _Answer(value=value.value, user_id=old.user_id, status=old.status)
    elif responses is not None or "responses" in record:
        for question, answers in _NESTED.validate_python(responses or {}).items():
            yield from ((question, answer) for answer in answers or ())
    else:
        for name in record:
            if name.endswith(_COLUMN):
                yield from ((name.removesuffix(_COLUMN), answer) for answer in _column(record, name))


def _column(record: dict[str, Any], name: str) -> Iterable[_Answer]:
    values, users, statuses = (
        _COLUMNS.validate_python(record.get(column) or []) for column in (name, f"{name}.users", f"{name}.status")
    )
    if not len(values) == len(users) == len(statuses):
        raise ValueError(f"The columns {name}, {name}.users and {name}.status have different lengths.")
    return [
        _Answer(value=value, user_id=user, status=status)
        for value, user, status in zip(values, users, statuses, strict=True)
    ]
