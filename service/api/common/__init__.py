"""What several endpoints share.

wire.py        wire types
limits.py      the most that the lists, texts and objects of a request may hold
route.py       routes that check the caller's allowance before a long body is parsed
rate_limits.py headers with what a caller may still use
query.py       query parameters that an endpoint does not read
selection.py   the policy that `profile`, `weights` or a model name asks for
reply.py       an answer's sources, completions and choice as JSON
profiles.py    the served profiles as JSON
"""
