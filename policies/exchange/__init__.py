"""Policies leave and come back: plain PEFT adapters in a directory or on the Hugging Face Hub.

places.py      a directory, or hf://org/name
exporting.py   a stored version as PEFT, vLLM and the Hub load it, with the trunk that it needs
importing.py   an adapter that was trained elsewhere, or exported, as a version of a profile
hub_card.py    the README of an exported adapter, with the Hub's front matter
"""
