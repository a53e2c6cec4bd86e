"""Deployment files as their tools read them, for tests that have neither Docker nor a cluster."""

import re
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


@pytest.fixture(scope="session")
def compose():
    """compose.yaml with the default of every variable; those without one have the value `set`."""
    text = (DEPLOY / "compose.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}", _default, text))


def _default(variable):
    return "set" if variable[2] is None else variable[2]


@pytest.fixture(scope="session")
def base():
    return build(KUBERNETES / "base")


@pytest.fixture(scope="session")
def monitoring():
    return build(KUBERNETES / "monitoring")


@pytest.fixture(scope="session")
def example():
    return build(KUBERNETES / "overlays" / "example")


@pytest.fixture(scope="session")
def training():
    return build(KUBERNETES / "training")


@pytest.fixture(scope="session")
def on_gpus():
    """The service with its engine on GPUs."""
    return apply(KUBERNETES / "components" / "engine-in-process", build(KUBERNETES / "base"))


@pytest.fixture(scope="session")
def engine_apart():
    """The service with its engine in pods of its own."""
    return apply(KUBERNETES / "components" / "engine-remote", build(KUBERNETES / "base"))


@pytest.fixture(scope="session")
def find(base, monitoring):
    """Returns the resource of a kind and name, without an overlay."""

    def resource(kind, name="fgctl"):
        (match,) = [doc for doc in (*base, *monitoring) if (doc["kind"], doc["metadata"]["name"]) == (kind, name)]
        return match

    return resource


def build(directory):
    """The result of `kustomize build` for what our files use of it; anything else fails.

    The names of generated ConfigMaps have no hash here.
    """
    plan = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert (plan.pop("apiVersion"), plan.pop("kind")) == ("kustomize.config.k8s.io/v1beta1", "Kustomization")
    docs = []
    for resource in plan.pop("resources"):
        path = directory / resource
        docs += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for component in plan.pop("components", ()):
        apply(directory / component, docs)
    return _changed(docs, plan, directory)


def apply(component, docs):
    """What a component makes of resources."""
    plan = yaml.safe_load((component / "kustomization.yaml").read_text())
    assert (plan.pop("apiVersion"), plan.pop("kind")) == ("kustomize.config.k8s.io/v1alpha1", "Component")
    for resource in plan.pop("resources", ()):
        docs += yaml.safe_load_all((component / resource).read_text())
    return _changed(docs, plan, component)


def _changed(docs, plan, directory):
    for generator in plan.pop("configMapGenerator", ()):
        _generate(generator, directory, docs)
    for patch in plan.pop("patches", ()):
        _patch(docs, **patch)
    for image in plan.pop("images", ()):
        for container in (container for doc in docs for container in containers(doc)):
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    if namespace := plan.pop("namespace", None):
        for doc in docs:
            if doc["kind"] != "Namespace":
                doc["metadata"]["namespace"] = namespace
    assert not plan, f"{directory}: these tests do not support {', '.join(plan)}; extend build()."
    return docs


def pod(doc):
    """The pod of a resource; {} if it has none."""
    return doc.get("spec", {}).get("template", {}).get("spec", {})


def containers(doc):
    return [*pod(doc).get("initContainers", ()), *pod(doc).get("containers", ())]


def _generate(generator, directory, docs):
    lines = [line for file in generator.pop("envs", ()) for line in (directory / file).read_text().splitlines()]
    pairs = [line.split("=", 1) for line in (*lines, *generator.pop("literals", ())) if line and line[0] != "#"]
    name, merge = generator.pop("name"), generator.pop("behavior", "create") == "merge"
    assert not generator, f"{directory}: these tests do not support {', '.join(generator)}; extend build()."
    if merge:
        (existing,) = [doc for doc in docs if (doc["kind"], doc["metadata"]["name"]) == ("ConfigMap", name)]
        existing["data"] |= dict(pairs)
    else:
        docs.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(pairs)})


def _patch(docs, target, patch):
    fields = {"group": lambda doc: doc["apiVersion"].rpartition("/")[0], "kind": lambda doc: doc["kind"]}
    fields["name"] = lambda doc: doc["metadata"]["name"]
    matching = [doc for doc in docs if all(fields[key](doc) == value for key, value in target.items())]
    assert matching, f"no resource matches {target}"
    for step in yaml.safe_load(patch):
        *way, last = [key.replace("~1", "/").replace("~0", "~") for key in step["path"].strip("/").split("/")]
        for doc in matching:
            place = doc
            for key in way:
                place = place[int(key) if isinstance(place, list) else key]
            if last == "-":
                place.append(step["value"])
                continue
            assert step["op"] == "add" or last in place, f"{step['path']} is not there to {step['op']}"
            place[last] = step["value"]
