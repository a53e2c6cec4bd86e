"""The arena: answers of several contestants to the same questions, compared blind, two at a time.

question_sets.py  questions of more than one domain, with references where people wrote some
contestants.py    what can take part, and its answers
chat_endpoint.py  an OpenAI endpoint, asked for an answer or for a verdict
matches.py        the pairs to compare, in drawn order, and what a judge says of one
judges.py         verdicts by the judge, and by a model behind an endpoint
ratings.py        Bradley-Terry ratings, win rates and position bias of verdicts
arena.py          a whole arena, to be continued after an interruption
report.py         its plot, its page and its metrics
"""
