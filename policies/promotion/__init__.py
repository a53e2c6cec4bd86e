"""Decisions about versions, from evaluations and from traffic; nothing here reads or writes a store.

comparison.py    whether a version may replace another
profile_set.py   whether the profiles of a set differ enough to be a choice
sequential.py    whether a canary is worse than its incumbent
"""
