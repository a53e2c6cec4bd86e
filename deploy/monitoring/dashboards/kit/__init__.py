"""What dashboards are built with, on top of grafana-foundation-sdk.

board.py           a dashboard: variables, links, annotations, and panels placed on the grid
promql.py          PromQL that several panels share
panel_options.py   what all kinds of panels have in common: queries, thresholds, value names
series_panels.py   lines, single numbers, bars, heatmaps
table_panels.py    tables, grouped bars, scatter plots
"""
