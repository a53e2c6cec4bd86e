"""Scores where teams look: other tools get every scored answer, and no reply or score waits for them.

event.py      a scored answer as sinks see it
delivery.py   a bounded queue for each sink: in parallel, again after failures, counted when lost
webhook.py    any receiver, by a signed request (Standard Webhooks)
langfuse.py   Langfuse, by its API for scores
sinks.py      the sinks that the settings name, from start to stop
"""
