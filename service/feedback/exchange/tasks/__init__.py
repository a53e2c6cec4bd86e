"""What a task in another tool is made of.

task_source.py      what a task carries along, so that nothing is lost on the way back
marked_text.py      a text with spans, and columns beside them: doccano's and Prodigy's lines
controls.py         which controls and questions are read, and which of them another name stands for
passage_text.py     passages as one text that people mark in other tools, and back
pair_questions.py   names of the questions and answers about pairs in other tools
offsets.py          UTF-16 code units and code points
"""
