"""Watching a policy on questions that it is not trained on, while it is trained.

validator.py   evaluates the policy every few hundred episodes, and remembers what came of it
evaluation.py  one evaluation, and the reference answers' figures
guards.py      signs that a policy games its rewards
selection.py   which evaluation is the best, and when a run may end
curve.py       the over-optimisation curve: plot, CSV and JSON
texts.py       some of the answers, to be read
"""
