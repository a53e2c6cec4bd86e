"""OpenAI's interface, with policies as models.

models/        GET /v1/models
completions/   POST /v1/completions
chat/          POST /v1/chat/completions
common/        what these share
router.py      all routes under /v1
"""
