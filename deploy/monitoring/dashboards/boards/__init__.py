"""The dashboards. A row's title is a question; its panels answer it.

quality.py               how often the service errs, whether that has changed, how reliable the ratio is
quality_change_rows.py   the rows of Quality on the style of answers and on shifts
policies.py              which versions are served to whom; canaries
serving.py               traffic, latency, tokens, the engine
scoring.py               coverage, speed and reliability of scoring
feedback_row.py          the row of Scoring on feedback
"""
