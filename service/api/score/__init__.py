"""POST /score: the reward models judge answers that any system gave.

protocol.py    wire types
translate.py   what is sent, in the service's own terms, and the scores as a reply
router.py      HTTP
"""
