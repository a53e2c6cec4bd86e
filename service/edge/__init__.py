"""What happens to an HTTP request before and after its endpoint.

middleware.py         security headers, one log line and trace for each request, limits on headers and body
authentication.py     who sends a request, and whether its key has the scope that the route needs
route_scope.py        the scope that a route needs, declared beside it
keys.py               the file of API keys: add, revoke, follow changes
error_replies.py      the reply to every failure, in the form that the clients of its path expect
host_check.py         whether a request is meant for this machine, where no key is asked for
http_protocol/        what stands on uvicorn's HTTP protocol: limits on heads and connections, compatibility
client_disconnect.py  cancel work when the client disconnects
sse.py                server-sent events
request_context.py    what is known about the current request, for logs and traces
logs.py               log lines as JSON or text
"""
