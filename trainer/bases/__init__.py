"""Bases of any architecture: what training needs to know of one, and what it refuses before it starts.

load_base.py         a base's weights, or what is missing
adapter_modules.py   the modules that an adapter changes, by architecture
parent_shape.py      the shape of a parent's adapter, which its policies share
packed_attention.py  attention masks of packed rows, for every kind of attention
packed_check.py      whether a packed row gives what each sequence gives alone
recompute.py         gradient checkpointing: less memory for more time
"""
