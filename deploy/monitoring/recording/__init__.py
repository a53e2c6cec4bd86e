"""The recorded series. fg:NAME:WINDOW looks back by WINDOW.

    recording_groups.py     every recorded series, in the groups of rules.yml
    error_rates.py          error ratios, their budgets, the drift from the version's evaluation
    distribution_shift.py   how far scores and inputs have moved from the version's evaluation
    canary_test.py          the sequential test of a canary against its incumbent
    scoring_rates.py        which share of answers is scored, and how busy scoring is

Instances are summed, so replicas count as one service. Increases are taken of each instance's counters before they are
summed, so a restart, which sets counters to zero, or an instance that comes or goes loses at most what happened between
two scrapes.
"""
