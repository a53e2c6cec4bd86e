"""`fgctl bench`: measure speed and memory beside named alternatives.

commands.py  rewards, train, evaluate, lora, serve, scoring and faults
tables.py    what they print
"""
