"""GET /v1/models: policies as models.

protocol.py   wire types
router.py     HTTP
"""
