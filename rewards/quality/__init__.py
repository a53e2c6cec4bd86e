"""How often answers err, as people see it: estimates from few labels and all scores, on anybody's traffic.

support_labels.py   labels of parts of responses, in JSON lines
answers.py          scored answers and what people say of them, as sampling units
estimates.py        the error rates of scored answers, with intervals
score_files.py      scored answers and labels from files
"""
