"""POST /v1/chat/completions.

protocol.py        wire types
translate.py       a request in the service's own terms
answer_format.py   how answers are written
router.py          HTTP
"""
