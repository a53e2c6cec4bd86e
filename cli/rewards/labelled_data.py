"""Labelled responses from a feedback store, from JSON lines of labelled spans, or from span feedback."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.quality.support_labels import LabelledResponse


@dataclass(frozen=True)
class Labelled:
    """Labelled responses, with their name and digest for the records."""

    name: str
    digest: str
    responses: list["LabelledResponse"]


def names_support_labels(data: str | None) -> bool:
    """Whether `data` names a file of JSON lines of labelled spans, rather than feedback or a store."""
    from cli.rewards.feedback_data import is_store
    from rewards.quality.support_labels import are_support_labels

    return data is not None and not is_store(data) and are_support_labels(Path(data))


def load_labelled(data: str | None) -> Labelled:
    """Load the labelled responses of a file or a store. Raises FgctlError when there are none."""
    from cli.rewards.feedback_data import load_feedback_from
    from rewards.dataset import file_digest
    from rewards.quality.annotated_feedback import as_labelled_response
    from rewards.quality.support_labels import load_support_labels

    if data is not None and names_support_labels(data):
        responses = load_support_labels(Path(data))
        return Labelled(Path(data).name, file_digest(Path(data)), responses)
    feedback = load_feedback_from(data)
    responses = [as_labelled_response(example) for example in feedback.examples]
    if not responses:
        raise FgctlError(f"{feedback.name} has no labelled answer; annotate some.")
    return Labelled(feedback.name, feedback.digest, responses)
