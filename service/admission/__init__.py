"""Who may use the engine now, who waits, and who is refused.

places.py         admission control: the engine's places and the requests that wait for them
fair_queue.py     which waiting request is next, so that profiles and callers get fair shares
caller_limits.py  limits of one caller: completions at once, requests and tokens per minute
shared_limits.py  the same limits over all replicas
redis_counts.py, postgres_counts.py  where these are counted
"""
