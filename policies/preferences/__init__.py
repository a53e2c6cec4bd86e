"""Learned preferences: which weights a person seems to want, by thumbs and comparisons, within bounds around a profile.

arms.py         the weights that may answer a person, and the best of them
posterior.py    a Bayesian model of the weights on a grid: what feedback says of them, and a draw from it
simulation.py   simulated people with known weights: the regret of learning and of fixed profiles
"""
