"""Online scoring: the reward models score finished completions in processes of their own.

queue.py              the queue between replies and scores, which no reply waits for
backlog.py            the completions that wait, and which of them go when there are too many
worker.py             the scoring processes
recent_responses.py   recent completions and their scores, in memory
"""
