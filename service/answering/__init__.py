"""How a request becomes an answer.

pipeline.py   check, wait for a place, generate, announce the finished completions
formatting.py the prompt; long ones are formatted by a thread
observed.py   what OpenTelemetry records of a generation
prepared.py   a request that can be answered and has a place
sampling.py   the request's sampling parameters in vLLM's terms, within the service's limits
structure.py  the form that an answer must have, checked before the engine sees it
best_of.py    choose the best of several samples by the reward models
deadline.py   a stream that must not run past its deadline
"""
