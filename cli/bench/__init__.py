"""`fgctl bench`: measure speed and memory beside named alternatives.

commands.py  rewards, train, evaluate, lora, serve and scoring
tables.py    what they print
"""
