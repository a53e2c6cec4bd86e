"""An engine elsewhere: a vLLM server, or a router before several, that speaks OpenAI's interface.

remote_engine.py  what the service asks of an engine, asked over HTTP
completions.py    OpenAI's completions as vLLM extends them: bodies of requests, and what comes back
watch.py          whether the engine answers
lora_resolver.py  vLLM plugin for the servers: finds adapters by name, in the policy store or at the service
"""
