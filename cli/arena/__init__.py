"""`fgctl arena`: compare policies and others head to head.

command.py   the command
people.py    verdicts by people, through the feedback store
"""
