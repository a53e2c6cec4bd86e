"""What is monitored of an answer and of its question, beside the scores. It reads only text.

response_traits.py   all traits: words, repetition, refusal, and the bin of each monitored input
copied.py            how much of an answer is copied from the passages
refusals.py          whether an answer refuses to answer, by its wording
language.py          whether a text is in English
"""
