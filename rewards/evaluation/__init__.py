"""How good the reward models are: agreement with people, resistance to attacks, and the model card.

evaluate.py              agreement with people, cross-validated or on held-out feedback
effect_of_feedback.py    agreement before and after new feedback
compare_recipes.py       agreement and attacks of a recipe, as a log for the card
attacks.py               answers that try to game the reward models, and what they are paid
card_figures.py          all figures of the model card on agreement
krippendorff_alpha.py    agreement of models with people, and of people with themselves
example_segments.py      segments that the models get right and wrong
model_card.py            the model card, docs/rewards.md: sections and text
card_tables.py           its tables
"""
