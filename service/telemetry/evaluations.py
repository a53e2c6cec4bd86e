"""What is recorded of an answer's scores: an event for each category."""

from service.domain.judged import Judged
from service.domain.scored import Verdict
from service.telemetry import conventions as names
from service.telemetry.span import AttributeValue


def evaluation_attributes(judged: Judged, verdict: Verdict) -> dict[str, AttributeValue]:
    """The attributes of the event that says what one category thinks of an answer."""
    return {
        names.EVALUATION_NAME: verdict.category,
        names.EVALUATION_SCORE_VALUE: verdict.score,
        names.EVALUATION_SCORE_LABEL: verdict.label,
        names.EVALUATION_EXPLANATION: verdict.explanation,
        names.RESPONSE_ID: judged.id,
    }
