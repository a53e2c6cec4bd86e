"""How the service is deployed and monitored. Nothing imports this package, and it is not installed with the others.

compose.yaml    everything on one machine; .env.example lists its variables
kubernetes/     manifests: base, monitoring, an example overlay
monitoring/     the definition of rules, alerts and dashboards, from which the next two are generated
prometheus/     Prometheus' configuration; generated rules, alerts and their tests
grafana/        provisioning; generated dashboards
alertmanager/   who is notified of an alert, and which alerts silence others
targets/        what the Prometheus of compose.yaml scrapes and notifies
"""
