"""What the heads read of a response: numbers with names.

extractor.py        all features of a response, from one pass over question, passages and segments
encoder.py          the sentence encoder that all categories share
alignment.py        how a segment's wording lines up with the passages
reader.py           the encoder with a LoRA adapter: how likely a good answer is to contain a segment
expected_words.py   how much of a good answer's probable content a response has
words.py            words, names, numbers and n-grams of a text
"""
