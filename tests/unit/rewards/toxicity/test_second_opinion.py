"""The converted second opinion. Content note: mild insults, to be recognised."""

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from rewards.errors import FgctlError
from rewards.models.purpose import JUDGE
from rewards.toxicity.second_opinion import SecondOpinion, convert

TEXTS = ["you stupid idiot", "what an idiot", "stupid moron", "shut up loser", "the river rose", "a warm evening",
         "she baked bread", "the train was late"]  # fmt: skip
UNSEEN = ["The idiot baked BREAD, bread and bread.", "A quiet evening by the river", "", "unheard of"]


def test_a_converted_model_scores_as_the_original():
    vectorizer = TfidfVectorizer(stop_words="english")
    classifier = CalibratedClassifierCV(LinearSVC(), cv=2).fit(vectorizer.fit_transform(TEXTS), [1] * 4 + [0] * 4)
    expected = classifier.predict_proba(vectorizer.transform(UNSEEN))[:, 1]
    assert SecondOpinion(convert(vectorizer, classifier), "v").score(UNSEEN) == pytest.approx(expected, abs=1e-5)


def test_the_shipped_second_opinion_is_a_judge_that_tells_insults():
    opinion = SecondOpinion.load()
    insult, clean = opinion.score(["You stupid idiot.", "The river rose in the night."])
    assert insult > 0.9
    assert clean < 0.1
    assert opinion.purpose == JUDGE


def test_a_missing_second_opinion_is_reported(tmp_path):
    with pytest.raises(FgctlError, match="cannot be loaded"):
        SecondOpinion.load(tmp_path / "none.safetensors")
