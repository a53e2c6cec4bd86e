import random

from rewards.dataset import Passage
from rewards.quality.shift_study import HOME, MADE_UP, study_shifts
from rewards.scores import ScoreRequest

NOUNS = "tower bridge river harbour garden library museum station market castle mill school".split()


def request(rng, number):
    """A question about a building, a passage, and an answer in the passage's words."""
    noun, year = rng.choice(NOUNS), rng.randint(1700, 1990)
    facts = [f"The {noun} {number} was built in {year} by the {other} people." for other in rng.sample(NOUNS, 4)]
    passage = Passage(title=noun, text=" ".join(facts))
    return ScoreRequest(f"When was the {noun} {number} built by them?", (passage,), " ".join(rng.sample(facts, 2)))


def test_false_alarms_are_few_and_shifts_are_seen():
    rng = random.Random(0)  # noqa: S311  # nothing secret
    home = [request(rng, number) for number in range(300)]
    elsewhere = {
        "claims": [
            ScoreRequest("Lighthouses", r.passages, "Completely other words appear: 5 # and _more_.") for r in home[:40]
        ]
    }
    results = study_shifts(home, elsewhere)
    assert list(results) == [HOME, *MADE_UP, "claims"]
    assert results[HOME]["answers"] == 300
    assert results[HOME]["warned"] <= 0.15
    for name in ("answers in capitals", "questions as three keywords", "claims"):
        assert results[name]["warned"] >= 0.9
        assert results[name]["warned"] >= results[name]["ranges"]
