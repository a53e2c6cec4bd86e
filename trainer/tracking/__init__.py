"""What a run leaves behind and reports while it trains.

checkpoint.py  resume an interrupted run
run_log.py     progress line, TensorBoard, metrics.jsonl and samples.jsonl
metrics.py     a PPO step's metrics
stability.py   early warnings, and when a run has diverged
"""
