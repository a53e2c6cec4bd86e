"""The rules and alerts as a PrometheusRule, for the Prometheus Operator."""

from collections.abc import Sequence
from typing import Any

LABELS = {"app.kubernetes.io/name": "fgctl", "app.kubernetes.io/component": "service"}
"""The labels of everything in deploy/kubernetes; an overlay adds those that its Prometheus selects rules by."""


def prometheus_rule(groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A PrometheusRule that holds rule groups, each as in Prometheus' own files."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "fgctl", "labels": LABELS},
        "spec": {"groups": list(groups)},
    }
