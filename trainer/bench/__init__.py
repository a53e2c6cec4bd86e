"""Benchmarks: each measures something beside a named alternative in the same run, and reports the ratio.

train.py     a PPO step beside the plain version of it
plain.py     the plain version: one PPO step without any savings
evaluate.py  a policy's evaluation beside the service's engine
rewards.py   scoring beside one forward pass of the base model and beside three encoders
"""
