"""The PrometheusRule has exactly the groups of Prometheus' own files."""

import yaml

from deploy.monitoring.generated_files import KUBERNETES, PROMETHEUS, generated_files


def test_the_operator_gets_the_groups_of_prometheus():
    files = generated_files()
    groups = [
        group for name in ("rules.yml", "alerts.yml") for group in yaml.safe_load(files[PROMETHEUS / name])["groups"]
    ]
    resource = yaml.safe_load(files[KUBERNETES / "prometheusrule.yaml"])
    assert resource["kind"] == "PrometheusRule"
    assert groups
    assert resource["spec"] == {"groups": groups}
    # A PrometheusRule may not have two groups of one name.
    assert len({group["name"] for group in groups}) == len(groups)
