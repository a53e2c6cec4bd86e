"""What a policy learns to do: prompts, categories, the model it starts from, decoding.

task.py   what a task defines, and tasks by name
qa.py     question answering with passages, the default
detox.py  continuing open prompts without toxicity

A further task is one module with a class that has the methods of `Task`, and an instance of it as `TASK`.
"""
