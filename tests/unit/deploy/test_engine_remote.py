"""The component engine-remote: vLLM servers of their own that find adapters in the store and at the replicas."""

import pytest
from kubernetes_validate import validate

from service.engine.remote.lora_resolver import SOURCES
from service.settings import Settings
from tests.unit.deploy.test_kubernetes import VERSIONS, pod, selects


@pytest.fixture
def resource(engine_apart):
    def find(kind, name):
        (match,) = [doc for doc in engine_apart if (doc["kind"], doc["metadata"]["name"]) == (kind, name)]
        return match

    return find


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_accepts_every_resource(engine_apart, version):
    for doc in engine_apart:
        validate(doc, version, strict=True)


def test_the_replicas_ask_the_servers_and_the_servers_the_replicas(resource, monkeypatch):
    settings = resource("ConfigMap", "fgctl-settings")["data"]
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    engine, servers = resource("Deployment", "fgctl-engine"), resource("Service", "fgctl-engine")
    assert Settings().engine_url == f"http://{servers['metadata']['name']}:{servers['spec']['ports'][0]['port']}"
    (container,) = pod(engine)["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    replicas = resource("Service", "fgctl-replicas")
    store, address = environment[SOURCES].split(",")
    assert store == "$(FGCTL_POLICIES)"
    assert address == f"http://{replicas['metadata']['name']}:{replicas['spec']['ports'][0]['port']}/policies"
    assert settings["FGCTL_POLICIES"] in {mount["mountPath"] for mount in container["volumeMounts"]}
    labels = [
        resource("Deployment", name)["spec"]["template"]["metadata"]["labels"] for name in ("fgctl-engine", "fgctl")
    ]
    assert selects({"matchLabels": servers["spec"]["selector"]}, labels[0])
    assert selects({"matchLabels": replicas["spec"]["selector"]}, labels[1])
    assert replicas["spec"]["clusterIP"] == "None"  # a name for every replica's own address


def test_the_network_lets_them_reach_each_other(resource):
    engine = resource("NetworkPolicy", "fgctl-engine")["spec"]
    service = resource("NetworkPolicy", "fgctl")["spec"]
    of = {
        name: {"app.kubernetes.io/name": "fgctl", "app.kubernetes.io/component": name} for name in ("engine", "service")
    }

    def peers(rules, way):
        return [
            peer["podSelector"]["matchLabels"] for rule in rules for peer in rule[way] if set(peer) == {"podSelector"}
        ]

    assert peers(engine["ingress"], "from") == peers(engine["egress"], "to") == [of["service"]]
    assert peers(service["ingress"], "from") == peers(service["egress"], "to") == [of["engine"]]


def test_the_servers_meet_the_restricted_standard_and_have_time_to_finish(resource):
    spec = pod(resource("Deployment", "fgctl-engine"))
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["requests"]["cpu"] == container["resources"]["limits"]["cpu"]
    arguments = dict(argument.removeprefix("--").split("=") for argument in container["args"] if "=" in argument)
    drain, before = int(arguments["shutdown-timeout"]), container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert drain >= Settings().request_timeout
    assert spec["terminationGracePeriodSeconds"] >= drain + before
    assert int(arguments["max-model-len"]) >= Settings().max_prompt_tokens + Settings().max_tokens
