"""The PrometheusRule holds the groups that Prometheus itself reads, and nothing else."""

import yaml

from deploy.monitoring.generated_files import KUBERNETES, PROMETHEUS, generated


def test_the_operator_gets_the_groups_of_prometheus():
    files = generated()
    groups = [
        group for name in ("rules.yml", "alerts.yml") for group in yaml.safe_load(files[PROMETHEUS / name])["groups"]
    ]
    resource = yaml.safe_load(files[KUBERNETES / "prometheusrule.yaml"])
    assert resource["kind"] == "PrometheusRule"
    assert groups
    assert resource["spec"] == {"groups": groups}
    # Names of groups are unique in one resource.
    assert len({group["name"] for group in groups}) == len(groups)
