"""What a run reports before and while it trains, and leaves behind.

training_data.py  the rows that a run can use, and why not the others
checkpoint.py     resume an interrupted run, one training at a time
run_copy.py       a copy behind a URL, from which any machine continues the run
run_log.py        progress line, TensorBoard, metrics.jsonl and samples.jsonl
metrics.py        a PPO step's metrics
stability.py      early warnings, and when a run has diverged
"""
