"""The HTTP interface. Each endpoint translates between HTTP and the service's own terms, and does nothing else.

generate/    POST /generate
openai/      /v1: models, completions, chat completions and responses
score/       POST /score
feedback/    feedback on responses, and what the annotation pages need
responses.py GET /responses/{id}
preferences.py GET and DELETE /preferences
tokenize.py  POST /tokenize
status.py    GET /profiles, /livez, /readyz, /health, /version, /metrics
admin.py     POST /admin/reload
adapters.py  GET /policies/{profile}/{version}/{file}
common/      what several endpoints share
"""
