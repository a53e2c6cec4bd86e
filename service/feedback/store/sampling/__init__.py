"""Drawing answers to label at random, and reading back with what probability each of them was drawn.

draw_keys.py   the order in which answers are drawn
draws.py       which answer is drawn next for the error rate, and the record of a draw
traffic.py     the scored answers with their labels and probabilities
"""
