"""Monitoring as code: `python -m deploy.monitoring` generates rules, alerts, their tests, dashboards, metrics tables.

    budgets.py            how many errors each category and profile may make; thresholds and minimum counts
    lookback_windows.py   the windows that rules look back over, and a time scale for tests
    rule_groups.py        a recorded series, an alert, a group of them
    recording/            the recorded series
    alerts/               the alerts
    scenarios/            what each alert must do, as tests for promtool
    dashboards/           the Grafana dashboards
    service_metrics.py    the metrics that the service exports, read from their declarations
    metric_tables.py      those metrics as the tables of docs/metrics.md
    kubernetes.py         the rules as a PrometheusRule
    generated_files.py    every generated file, by path

To add an alert, declare it in the file of `alerts/` that it belongs to and describe it in docs/runbook.md; tests name
what is missing, its scenario included. Then run `make monitoring`.
"""
