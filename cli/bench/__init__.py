"""`fgctl bench`: compare speed and memory with named alternatives.

commands.py  rewards, train, evaluate, lora, serve, layer, scoring and faults
tables.py    what they print
"""
