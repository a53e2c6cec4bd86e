"""What the endpoints of OpenAI's interface share.

protocol.py         what requests have in common, and responses
structure.py        the form that an answer must have
turns.py            the exchanges before a question with passages, and the messages to keep
logprobs.py         log-probabilities, an entry for each token
answer_format.py    how a kind of completions writes answers and pieces
batch.py            a request of one or several prompts, and its answers as they come
reply.py            the whole response, or its chunks
http.py             the response over HTTP, at once or streamed
merged_streams.py   several streams as one
"""
