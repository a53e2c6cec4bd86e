"""OpenAI's interface, with policies as models.

models/        GET /v1/models
completions/   POST /v1/completions
chat/          POST /v1/chat/completions
responses/     POST /v1/responses, GET and DELETE /v1/responses/{id}
common/        what these share
router.py      all routes under /v1
"""
