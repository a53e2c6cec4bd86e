"""Full annotations as labels of segments: whoever annotated a response judged all of it, by every category."""

from rewards.categories import BUILT_IN, SEGMENT_CATEGORIES, Category
from rewards.dataset import FeedbackExample
from rewards.quality.support_labels import LabelledResponse, LabelledSpan
from rewards.segmentation import segments


def as_labelled_response(example: FeedbackExample) -> LabelledResponse:
    """The annotated response, each of its segments labelled by each built-in category."""
    text = example.predictions[0]
    spans = [span for category in SEGMENT_CATEGORIES for span in _spans(example, category)]
    spans += [
        LabelledSpan(start=start, end=end, error=bool(example.missing), category="completeness")
        for start, end in segments(text, "response")
    ]
    return LabelledResponse(question=example.question, passages=example.passages, response=text, spans=tuple(spans))


def _spans(example: FeedbackExample, category: Category) -> list[LabelledSpan]:
    marked = [(error.start, error.end) for error in example.errors if error.label in BUILT_IN[category].labels]
    return [
        LabelledSpan(start=start, end=end, category=category, error=any(a < end and start < b for a, b in marked))
        for start, end in segments(example.predictions[0], BUILT_IN[category].density)
    ]
