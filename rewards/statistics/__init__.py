"""Arithmetic on scores, labels and measurements. It needs no model and imports no other folder.

agreement_with_people.py   accuracy, macro-F1 and pairwise accuracy, with bootstrap intervals over questions
calibration.py             from scores to probabilities, thresholds, and error rates corrected for false alarms
prediction_powered.py      error rates with valid intervals, from few labels and all scores
label_shift.py             the share of errors on other traffic, if errors look as they do at home
distribution_shift.py      bins of error probabilities and inputs, and the population stability index over them
benchmarks.py              medians, ranges and peak memory, for the benchmarks of service and trainer
"""
