"""Commands that train policies and evaluate them.

train.py       fgctl sft, fgctl train
evaluate.py    fgctl evaluate
sample.py      fgctl sample
experiment.py  fgctl experiment
options.py     options that several of them take
"""
