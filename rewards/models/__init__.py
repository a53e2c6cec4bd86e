"""Fitted models: the reward models that pay policies, and the judge that only evaluates them.

feedback_rewards.py   the reward models of the built-in categories, and their file `rewards.json`
recipe.py             which features each head reads and how strongly it is regularised
input_ranges.py       whether an input is like the training data, by single statistics
typical_inputs.py     the same by all statistics together
judge.py              the judge, and its file `judge.json`
purpose.py            keeps judges out of training
"""
