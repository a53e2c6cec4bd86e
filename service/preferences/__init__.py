"""Which weights a caller wants, learned from its own thumbs and comparisons; only for keys that opt in.

learned.py   the weights that answer a caller's request for a profile, and how to see and forget them
"""
