"""Offline evaluation of policies on held-out questions.

evaluate.py         answer the questions, judge the answers, compare the policies
answers.py          a policy's answers to questions, and the reference answers
candidates.py       what can be evaluated
report.py           the figures that depend on the texts alone
intervals.py        95 % intervals, and paired differences between policies
perplexity.py       how likely the base model finds the answers
online_baseline.py  what to expect of a policy in service
continuations.py    toxicity, fluency and diversity of continuations of open prompts
fluency.py          the model of their perplexity
diversity.py        how much continuations of a prompt differ, and the worst of them
sample_answers.py   answers to a file's questions, for people or a reader to learn from
"""
