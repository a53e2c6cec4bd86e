"""deploy/kubernetes: the API accepts every resource, and the resources agree with each other."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError

from policies.store import PolicyStore
from service.metrics.metrics import Metrics
from service.settings import Settings

ROOT = Path(__file__).parents[3]
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that the files support, and the newest with a schema."""
OPERATOR = "monitoring.coreos.com/v1"


def pod(doc):
    return doc["spec"]["template"]["spec"]


def selects(selector, labels):
    assert set(selector) == {"matchLabels"}
    return selector["matchLabels"].items() <= labels.items()


@pytest.fixture
def replica(find):
    return pod(find("Deployment"))


@pytest.fixture
def labels(find):
    return find("Deployment")["spec"]["template"]["metadata"]["labels"]


@pytest.fixture
def writers_labels(find):
    return find("Deployment", "fgctl-policies")["spec"]["template"]["metadata"]["labels"]


@pytest.fixture
def settings(find):
    return find("ConfigMap", "fgctl-settings")["data"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_accepts_every_resource(base, example, on_gpus, version):
    checked = [doc for doc in (*base, *example, *on_gpus) if doc["apiVersion"] != OPERATOR]
    assert {doc["kind"] for doc in checked} == {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Namespace", "NetworkPolicy",
        "PersistentVolumeClaim", "PodDisruptionBudget", "Service", "ServiceAccount",
    }  # fmt: skip
    for doc in checked:
        kubernetes_validate.validate(doc, version, strict=True)


def test_an_unknown_field_is_found(find):
    deployment = yaml.safe_load(yaml.safe_dump(find("Deployment")))
    pod(deployment)["containers"][0]["livenessProbe"]["period"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="period"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def parsed_by_operator(doc):
    """A resource as parsed by types from the Prometheus Operator's schemas, which drop unknown fields."""
    from cloudcoil.models.prometheus_operator import v1

    kind = {"ServiceMonitor": v1.ServiceMonitor, "PrometheusRule": v1.PrometheusRule}[doc["kind"]]
    return kind.model_validate(doc).model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_the_operator_accepts_every_resource(monitoring, example):
    docs = [doc for doc in (*monitoring, *example) if doc["apiVersion"] == OPERATOR]
    assert [doc["kind"] for doc in docs] == ["ServiceMonitor", "PrometheusRule"] * 2
    for doc in docs:
        assert parsed_by_operator(doc) == doc


def with_endpoint(monitor, **change):
    changed = yaml.safe_load(yaml.safe_dump(monitor))
    changed["spec"]["endpoints"][0] |= change
    return changed


def test_a_field_unknown_to_the_operator_is_found(find):
    misspelt = with_endpoint(find("ServiceMonitor"), intervall="15s")
    assert parsed_by_operator(misspelt) != misspelt


@pytest.mark.parametrize("wrong", [{"interval": "15 seconds"}, {"port": 8000}])
def test_a_value_that_the_operator_rejects_is_found(find, wrong):
    with pytest.raises(ValidationError, match=r"endpoints\.0"):
        parsed_by_operator(with_endpoint(find("ServiceMonitor"), **wrong))


def test_the_service_and_its_policies_select_the_replicas(find, labels, writers_labels):
    selectors = [
        find("Deployment")["spec"]["selector"],
        {"matchLabels": find("Service")["spec"]["selector"]},
        find("PodDisruptionBudget")["spec"]["selector"],
        find("NetworkPolicy")["spec"]["podSelector"],
        *(spread["labelSelector"] for spread in pod(find("Deployment"))["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selects(selector, labels)
        assert not selects(selector, writers_labels)


def test_the_writer_of_policies_has_no_connections(find, labels, writers_labels):
    policy = find("NetworkPolicy", "fgctl-policies")["spec"]
    assert selects(policy["podSelector"], writers_labels)
    assert not selects(policy["podSelector"], labels)
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    assert "egress" not in policy
    assert selects(find("Deployment", "fgctl-policies")["spec"]["selector"], writers_labels)


def test_ports_agree(find, replica, example):
    (container,) = replica["containers"]
    (port,) = container["ports"]
    assert container["args"][-2:] == ["--port", str(port["containerPort"])]
    (exposed,) = find("Service")["spec"]["ports"]
    assert exposed["targetPort"] == port["name"]
    (scraped,) = find("ServiceMonitor")["spec"]["endpoints"]
    assert scraped["port"] == exposed["name"]
    (ingress_rule,) = find("NetworkPolicy")["spec"]["ingress"]
    assert [entry["port"] for entry in ingress_rule["ports"]] == [port["name"]]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    (ingress,) = [doc for doc in example if doc["kind"] == "Ingress"]
    backends = [path["backend"]["service"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert {(backend["name"], backend["port"]["name"]) for backend in backends} == {("fgctl", exposed["name"])}


def test_probed_paths_and_public_paths_are_served(replica, example):
    from service.app import create_app

    served = {route.path for route in create_app(Settings()).routes}
    (container,) = replica["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (ingress,) = [doc for doc in example if doc["kind"] == "Ingress"]
    paths = [entry["path"] for entry in ingress["spec"]["rules"][0]["http"]["paths"]]
    for path in ("/livez", "/readyz", "/metrics"):
        assert path in served
        assert path not in paths
    for path in paths:
        assert any(route == path or route.startswith(f"{path}/") for route in served), path


def test_the_servicemonitor_selects_the_service(find):
    monitor = find("ServiceMonitor")["spec"]
    labels = find("Service")["metadata"]["labels"]
    assert selects(monitor["selector"], labels)
    # Alerts select by this job.
    assert labels[monitor["jobLabel"]] == "fgctl"


def test_the_autoscaler_uses_metrics_that_exist(find, settings):
    scaler = find("HorizontalPodAutoscaler")["spec"]
    target = find("Deployment")
    assert scaler["scaleTargetRef"] == {
        "apiVersion": target["apiVersion"],
        "kind": target["kind"],
        "name": target["metadata"]["name"],
    }
    assert "replicas" not in target["spec"]
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter" / "values.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    (offered,) = re.findall(r'__name__=~"([^"]+)"', rule["seriesQuery"])
    wanted = {metric["pods"]["metric"]["name"]: metric["pods"]["target"] for metric in scaler["metrics"]}
    assert set(wanted) == set(offered.split("|"))
    assert set(wanted) <= {family.name for family in Metrics().registry.collect()}
    full = int(settings["FGCTL_MAX_NUM_SEQS"])
    assert 0.5 * full <= float(wanted["fg_running_completions"]["averageValue"]) < full
    # While one replica is evicted, another answers.
    assert scaler["minReplicas"] > find("PodDisruptionBudget")["spec"]["maxUnavailable"]


def test_a_replica_has_time_to_drain(replica, settings):
    from service.run import _GRACE

    (container,) = replica["containers"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = before + float(settings["FGCTL_DRAIN_SECONDS"]) + _GRACE
    assert replica["terminationGracePeriodSeconds"] >= needed + 10
    ready = container["readinessProbe"]
    assert before >= ready["periodSeconds"] * ready["failureThreshold"]


def test_settings_are_settings_of_the_service(settings, example, monkeypatch):
    (changed,) = [doc["data"] for doc in example if doc["kind"] == "ConfigMap"]
    for data in (settings, changed):
        ours = {name: value for name, value in data.items() if name.startswith("FGCTL_")}
        assert {name.removeprefix("FGCTL_").lower() for name in ours} <= set(Settings.model_fields)
        for name, value in ours.items():
            monkeypatch.setenv(name, value)
        assert not Settings().open
    assert changed["FGCTL_SCORING_SHARE"] == "0.5"
    assert changed["FGCTL_KEYS"] == settings["FGCTL_KEYS"]


def test_only_home_and_tmp_are_writable(replica, settings):
    (container,) = replica["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == {"/home/fgctl", "/tmp"}  # noqa: S108
    assert str(Path(settings["FGCTL_KEYS"]).parent) in mounts
    assert settings["FGCTL_POLICIES"] in mounts
    volumes = {volume["name"]: volume for volume in replica["volumes"]}
    assert set(volumes) == {mount["name"] for mount in mounts.values()}
    assert volumes["keys"]["secret"]["defaultMode"] == 0o440
    assert all("sizeLimit" in volumes[name]["emptyDir"] for name in ("home", "tmp"))


def test_referenced_claims_settings_and_accounts_exist(base):
    names = {(doc["kind"], doc["metadata"]["name"]) for doc in base}
    for doc in base:
        if doc["kind"] != "Deployment":
            continue
        spec = pod(doc)
        (claim,) = [volume["persistentVolumeClaim"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
        assert ("PersistentVolumeClaim", claim["claimName"]) in names
        assert ("ServiceAccount", spec["serviceAccountName"]) in names
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert container["envFrom"] == [{"configMapRef": {"name": "fgctl-settings"}}]
            assert ("ConfigMap", "fgctl-settings") in names


def test_pods_meet_the_restricted_standard(base):
    """The requirements of the Pod Security Standard `restricted`, and a few more that cost nothing."""
    pods = [pod(doc) for doc in base if doc["kind"] == "Deployment"]
    assert len(pods) == 2
    for spec in pods:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])


def test_requests_and_limits_are_equal(replica):
    resources = replica["containers"][0]["resources"]
    assert resources["requests"]["cpu"] == resources["limits"]["cpu"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_an_engine_on_gpus_gets_the_gpus_that_its_arguments_divide_it_among(on_gpus):
    pytest.importorskip("vllm")
    from service.engine.plan import layout_of, user_arguments

    by_kind = {doc["kind"]: doc for doc in on_gpus if doc["metadata"]["name"] == "fgctl"}
    (data,) = [doc["data"] for doc in on_gpus if doc["kind"] == "ConfigMap"]
    settings = Settings(engine_args=data["FGCTL_ENGINE_ARGS"], max_num_seqs=int(data["FGCTL_MAX_NUM_SEQS"]))
    layout = layout_of(user_arguments(settings))
    (container,) = pod(by_kind["Deployment"])["containers"]
    for bounds in container["resources"].values():
        assert int(bounds["nvidia.com/gpu"]) == layout.devices
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]  # noqa: S108
    home = next(volume for volume in pod(by_kind["Deployment"])["volumes"] if volume["name"] == "home")
    assert home["emptyDir"] == {"sizeLimit": "180Gi"}
    busy = by_kind["HorizontalPodAutoscaler"]["spec"]["metrics"][1]["pods"]
    assert busy["metric"]["name"] == "fg_running_completions"
    places = settings.max_num_seqs * layout.data
    assert 0.5 * places <= float(busy["target"]["averageValue"]) < places


def test_an_empty_store_is_filled_with_the_shipped_versions(find, tmp_path):
    (fill,) = pod(find("Deployment", "fgctl-policies"))["initContainers"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"FGCTL_POLICIES": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": path}
    command = [*fill["command"], *fill["args"]]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    shipped, filled = PolicyStore(), PolicyStore(tmp_path)
    assert filled.profiles() == shipped.profiles()
    for profile in shipped.stored_profiles():
        assert filled.versions(profile) == shipped.versions(profile)
        for version in filled.versions(profile):
            filled.verify(profile, version)
        assert filled.promotions(profile) == shipped.promotions(profile)
    assert not list(tmp_path.glob("*.py"))

    (tmp_path / "profiles.toml").write_text("")
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    assert (tmp_path / "profiles.toml").read_text() == ""


def test_every_file_is_used(base, example):
    used = {KUBERNETES / "prometheus-adapter" / "values.yaml"}
    for plan in KUBERNETES.rglob("kustomization.yaml"):
        contents = yaml.safe_load(plan.read_text())
        used |= {plan, *(plan.parent / resource for resource in contents.get("resources", ()))}
        generators = contents.get("configMapGenerator", ())
        used |= {plan.parent / file for generator in generators for file in generator.get("envs", ())}
    assert {file for file in KUBERNETES.rglob("*") if file.is_file()} <= used


def test_an_overlay_sets_image_and_namespace(example):
    assert {doc["metadata"].get("namespace") for doc in example} == {None, "fgctl"}
    assert [doc["kind"] for doc in example if "namespace" not in doc["metadata"]] == ["Namespace"]
    images = {
        container["image"]
        for doc in example
        if doc["kind"] == "Deployment"
        for container in (*pod(doc).get("initContainers", ()), *pod(doc)["containers"])
    }
    assert images == {"registry.example.com/fgctl:0.1.0"}


@pytest.mark.parametrize("directory", ["base", "monitoring", "overlays/example"])
def test_kustomize_builds_the_same(directory, request):
    """No package ships kustomize, so other tests build the files themselves; this one compares, if it is installed."""
    program = shutil.which("kustomize") or shutil.which("kubectl")
    if program is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [program, *(["build"] if program.endswith("kustomize") else ["kustomize"]), str(KUBERNETES / directory)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    text = re.sub(r"fgctl-settings-[a-z0-9]{10}\b", "fgctl-settings", built.stdout)
    ours = request.getfixturevalue(Path(directory).name)

    def order(doc):
        return doc["kind"], doc["metadata"]["name"]

    assert sorted(yaml.safe_load_all(text), key=order) == sorted(ours, key=order)
