import numpy as np

from rewards.dataset import SAMPLE, load_feedback
from rewards.fitting.segment_labels import error_labels
from rewards.quality.annotated_feedback import as_labelled_response
from rewards.segmentation import segments


def test_every_segment_of_an_annotated_response_is_judged():
    for example in load_feedback(SAMPLE / "feedback.json")[:10]:
        response, text = as_labelled_response(example), example.predictions[0]
        sentences = segments(text, "sentence")
        marks = response.marks("factuality", sentences)
        assert (marks == error_labels(example, sentences, "factuality")).all()
        assert np.isfinite(response.marks("relevance", segments(text, "sub-sentence"))).all()
        assert list(response.marks("completeness", segments(text, "response"))) == [bool(example.missing)]
