"""What stands on uvicorn's HTTP protocol, below everything that knows of requests.

head_limit.py          limit a request's URL and headers while they arrive
connection_limits.py   close connections that are idle, too many, or not read from
http_compatibility.py  offers to upgrade a connection, and clients of HTTP/1.0
"""
