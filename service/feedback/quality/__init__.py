"""The error rates of served answers, from the labels and scores in the feedback store.

from_store.py   scored answers with people's judgements, as sampling units
report.py       the rates by category, profile and version
"""
