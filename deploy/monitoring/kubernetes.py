"""Rules and alerts as the Prometheus Operator takes them."""

from collections.abc import Sequence
from typing import Any

LABELS = {"app.kubernetes.io/name": "fgctl", "app.kubernetes.io/component": "service"}
"""Those of everything in deploy/kubernetes; an overlay adds what its Prometheus selects rules by."""


def prometheus_rule(groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A PrometheusRule of groups as Prometheus' own files hold them."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "fgctl", "labels": LABELS},
        "spec": {"groups": list(groups)},
    }
