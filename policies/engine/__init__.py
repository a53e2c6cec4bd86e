"""vLLM engines, as far as the service and the trainer's rollouts have them in common.

arguments.py  the arguments that a user gives to an engine, read by vLLM's own parser
defaults.py   the table of defaults for CPUs and GPUs, with reasons
memory.py     the memory that an engine needs
"""
