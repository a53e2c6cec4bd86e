"""POST /generate.

protocol.py    wire types
translate.py   a request in the service's own terms, and an answer as a reply
router.py      HTTP
"""
