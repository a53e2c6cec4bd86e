"""Benchmarks: each measures something beside a named alternative in the same run, and reports the ratio.

train.py    a PPO step beside the plain version of it
plain.py    the plain version: one PPO step without any savings
rewards.py  scoring beside one forward pass of the base model and beside three encoders
"""
