"""How far people agree with each other, and the reward models with people.

ratings.py      one person's annotation of one response
measures.py     the arithmetic: Krippendorff's alpha and span F1; knows no store
differing.py    the answers on which people differ, and alpha in words
from_store.py   the measures on everything that a store holds
report.py       the types of the report, as HTTP answers it
"""
