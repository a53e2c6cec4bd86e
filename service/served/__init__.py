"""Which policies answer requests: found by profile, version or weights, loaded, and exchanged while requests run.

resolver.py          the policy for a request, and reloads while requests run
roster_builder.py    the next roster: current versions, canaries and anchors, checked and loaded
adapter_check.py     loads an adapter and checks that it answers differently from the base and the others
stored_policy.py     a stored version, checked and ready to be loaded; the parent in the engine's model
weights_lookup.py    which mixture serves which weights
adapter_cache.py     adapters beyond the roster that the engine holds
mixture_cache.py     mixtures on disk
watch_file.py        reloads after a file has changed
canary_evidence.py   what running services have counted about a canary
listener.py          who is told of changes: the metrics
"""
