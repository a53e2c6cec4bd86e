"""The Grafana dashboards.

boards/              the dashboards, each a list of rows of panels
kit/                 the kinds of panels, and what all dashboards share
dashboard_files.py   the dashboards as JSON files
panel_queries.py     every query in them, for the tests
"""
