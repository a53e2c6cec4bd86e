"""Feedback over HTTP.

protocol.py   wire types
limits.py     the most that a request may hold
router.py     quick feedback from applications, and what the annotation pages need
"""
