"""The feedback store when it is empty and when it is large: what `fgctl bench store` measures.

measure.py    every measure on the empty store, then on the same store filled
questions.py  what the service asks of its store, for requests, pages and metrics
filling.py    many answers, scores, annotations and thumbs at once
answers.py    made-up answers and their scores, from the sample feedback
"""
