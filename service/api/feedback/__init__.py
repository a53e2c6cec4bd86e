"""Feedback over HTTP.

protocol.py   wire types
router.py     quick feedback from applications, and what the annotation pages need
"""
