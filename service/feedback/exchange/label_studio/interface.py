"""The labelling interface that a Label Studio project needs, and the names of its controls."""

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import PAIRS
from service.feedback.exchange.tasks.pair_questions import CHOICES, pair_name

CONTROLS = ("errors", "missing", "explanation", "corrected", *map(pair_name, PAIRS))
"""The controls that are read."""
LABELING_CONFIG = "\n".join(
    [
        "<View>",
        '  <Header value="$question"/>',
        '  <Labels name="missing" toName="context">',
        *(f'    <Label value="{label}"/>' for label in MISSING_LABELS),
        "  </Labels>",
        '  <Text name="context" value="$context"/>',
        '  <Labels name="errors" toName="response">',
        *(f'    <Label value="{label}"/>' for label in SPAN_LABELS),
        "  </Labels>",
        '  <Text name="response" value="$response"/>',
        '  <TextArea name="explanation" toName="response" perRegion="true" maxSubmissions="1"/>',
        '  <TextArea name="corrected" toName="response" maxSubmissions="1" value="$response"/>',
        '  <Collapse><Panel value="Comparisons, where there are other answers">',
        *(
            f'    <Choices name="{pair_name(pair)}" toName="response">'
            + "".join(f'<Choice value="{choice}"/>' for choice in CHOICES)
            + "</Choices>"
            for pair in PAIRS
        ),
        "  </Panel></Collapse>",
        "  <Style>.htx-text { white-space: pre-wrap; }</Style>",
        "</View>",
    ]
)
"""The labelling interface that a Label Studio project needs (docs/feedback.md)."""
