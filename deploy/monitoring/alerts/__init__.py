"""The alerts. Each file has its cases in the file of the same name in `scenarios/`.

    alert_groups.py         every alert, in the groups of alerts.yml
    error_budgets.py        a version makes more errors than its budget or its own evaluation
    distribution_shift.py   scores or inputs differ from the version's evaluation
    canary.py               a canary is worse than its incumbent
    scoring.py              scoring stops, falls behind or loses answers
    feedback.py             answers do not reach the feedback store
    serving.py              the engine, failed, refused and slow requests, policies that cannot be served

To add one, append it to the list of its file and describe it in docs/runbook.md; tests name what is missing.
"""
