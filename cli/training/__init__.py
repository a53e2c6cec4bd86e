"""Commands that train policies and evaluate them.

train.py       fgctl sft, fgctl train
evaluate.py    fgctl evaluate
sample.py      fgctl sample
experiment.py  fgctl experiment
quality_experiment.py  fgctl experiment quality
options.py     options that several of them take
"""
