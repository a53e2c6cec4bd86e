"""Span feedback, segmentation and reward models, as a library:

from rewards.dataset import Passage
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest

scorer = Scorer.load()
request = ScoreRequest("How tall is it?", (Passage(title="Tower", text="It is 31 m tall."),), "It is 31 m tall.")
for name, judged in scorer.score([request])[0].categories.items():
    print(name, [segment.error_probability for segment in judged.segments])
"""
