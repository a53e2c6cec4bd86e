"""`fgctl rewards …` and `fgctl score`.

commands.py           the group of commands: prefit, evaluate, compare, report
fit.py                `fgctl rewards fit`
fit_judge.py          `fgctl rewards fit-judge`
fit_toxicity.py       `fgctl rewards fit-toxicity` and `evaluate-toxicity`
evaluate_support_labels.py  `fgctl rewards evaluate` on labelled spans
calibrate.py          `fgctl rewards calibrate`
score.py              `fgctl score`
labelled_data.py      labelled responses from a store or a file
options.py            options that several of them have
feedback_data.py      feedback from a file or from the feedback store
agreement_tables.py   tables of agreement with people
"""
