"""`fgctl bench`: compare speed and memory with named alternatives.

commands.py  rewards, train, evaluate, lora, serve, layer, scoring, store and faults
tables.py    what they print
"""
