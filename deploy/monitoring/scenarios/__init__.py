"""Cases for `promtool test rules`: what the service exports, and exactly which alerts must then fire.

    scenario.py             a scenario, and how series are written
    healthy_service.py      the series of a service in which all is well
    test_files.py           the scenarios as the files of deploy/prometheus/tests
    error_budgets.py, distribution_shift.py, canary.py, scoring.py, feedback.py, serving.py
                            the cases of the alerts in the files of the same names
    restart.py              restarts and replicas: counters that begin again, instances that come and go

Series are computed here, since they are long and regular. Expectations are written by hand.
"""
