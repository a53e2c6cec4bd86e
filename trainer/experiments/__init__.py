"""Experiments: train or mix policies several ways, evaluate them alike, compare.

arms.py        the arms of holistic, ablate and customize
experiment.py  train and evaluate every arm
detox.py       detoxification: rewards by sentence and at the end
front/         trained, mixed and merged policies over the whole simplex of weights
mixing.py      evaluate mixtures of trained policies beside their anchors
summary.py     a table's rows, and how training curves compare
plots.py       SVG plots
few_labels_plot.py   the plot of `fgctl experiment quality`
"""
