"""/v1/responses: OpenAI's Responses API, text in and out.

protocol.py    wire types
items.py       wire types of the input's items
translate.py   a request in the service's own terms
kept.py        the responses that a caller may go on from, retrieve and delete
history.py     what an earlier response's conversation was
shape.py       OpenAI's Response and its parts as JSON
reply.py       a new response, whole or as events
retrieved.py   a response that is kept
router.py      POST /v1/responses over HTTP
kept_router.py GET and DELETE /v1/responses/{id} over HTTP
"""
