"""Rules, alerts and dashboards, generated from one definition: `python -m deploy.monitoring` writes every file.

`--check` says which committed file differs from what it would write.
"""
