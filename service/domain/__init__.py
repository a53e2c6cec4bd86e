"""The words of the service: what requests, policies and answers are. Nothing here imports a neighbouring room.

request.py         what a client asks for, whichever endpoint it came by
selection.py       which policy it asks for: a profile, one of its versions, or weights
caller.py          who asks, and what they may do
names.py           names that people choose: none that looks like another
policy.py          a version of a profile, or a mixture, as the engine knows it; canaries
roster.py          the policies that are served by profile
answer.py          what the engine returns piece by piece, and the whole answer
finished.py        the event that a completion has finished
engine_load.py     how busy the engine is, and the adapters that it holds
judged.py          what reward models judge, whoever gave the answer
scored.py          a completion's scores, and the verdict of each category
scoring_share.py   which share of each profile's responses is scored
hash_sampling.py   a reproducible draw by name
"""
