"""Online scoring: the reward models score finished completions in processes of their own.

queue.py              the queue between replies and scores, which no reply waits for
backlog.py            the completions that wait, and which of them go when there are too many
on_request.py         the scores of POST /score, which a client waits for
worker.py             the scoring processes
rewards_file.py       goes over to other reward models without a restart
recent_responses.py   recent completions and their scores, in memory
"""
