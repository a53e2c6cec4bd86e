"""Commands that train policies and evaluate them.

train.py       fgctl sft, fgctl train
ray.py         fgctl ray, which runs them on a Ray cluster
evaluate.py    fgctl evaluate
evaluate_continuations.py  fgctl evaluate --task detox
sample.py      fgctl sample
experiment.py  fgctl experiment
experiment_detox.py  fgctl experiment detox
quality_experiment.py  fgctl experiment quality
shift_experiment.py    fgctl experiment shift
front_experiment.py    fgctl experiment front
options.py     options that several of them take
"""
