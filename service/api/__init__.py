"""The HTTP interface. Each endpoint translates between HTTP and the service's own terms, and does nothing else.

generate/    POST /generate
openai/      /v1: models, completions and chat completions
feedback/    feedback on responses, and what the annotation pages need
responses.py GET /responses/{id}
status.py    GET /profiles, /livez, /readyz, /metrics
admin.py     POST /admin/reload
common/      what several endpoints share
"""
