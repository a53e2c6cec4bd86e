"""deploy/kubernetes/training: the JobSet is valid, and its processes find each other and the policies."""

import copy

import kubernetes_validate
import pytest
from kubeflow_trainer_api.models import JobsetV1alpha2JobSet as JobSet
from pydantic import ValidationError
from typer.testing import CliRunner

from cli.main import app
from trainer.recipe import load_recipe

VERSIONS = ("1.30", "1.37")


@pytest.fixture
def jobset(training):
    (doc,) = training
    return copy.deepcopy(doc)


@pytest.fixture
def job(jobset):
    (replicated,) = jobset["spec"]["replicatedJobs"]
    return replicated


@pytest.fixture
def container(job):
    (only,) = job["template"]["spec"]["template"]["spec"]["containers"]
    return only


def options(container):
    return dict(part.removeprefix("--").split("=", 1) for part in container["args"] if "=" in part)


def parsed(doc):
    """A JobSet as parsed by types from its schema, which drop unknown fields."""
    return JobSet.from_dict(doc).to_dict()


def test_the_controller_accepts_the_jobset(jobset):
    assert parsed(jobset) == jobset
    jobset["spec"]["failurePolicy"]["maxRestart"] = 1
    assert parsed(jobset) != jobset
    jobset["spec"]["failurePolicy"]["maxRestarts"] = "ten"
    with pytest.raises(ValidationError, match="maxRestarts"):
        parsed(jobset)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_accepts_its_jobs(job, version):
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job["name"]}, "spec": job["template"]["spec"]}
    kubernetes_validate.validate(made, version, strict=True)


def test_every_machine_has_its_rank_and_finds_the_first(jobset, job, container):
    jobs, values = job["template"]["spec"], options(container)
    assert jobs["completionMode"] == "Indexed"
    assert jobs["parallelism"] == jobs["completions"] == int(values["nnodes"])
    assert values["node-rank"] == "$(JOB_COMPLETION_INDEX)"
    name = jobset["metadata"]["name"]
    assert values["master-addr"] == f"{name}-{job['name']}-0-0.{name}"
    assert values["nproc-per-node"] == container["resources"]["limits"]["nvidia.com/gpu"]


def test_its_command_is_one_that_fgctl_takes(container, monkeypatch, tmp_path):
    arguments = container["args"][container["args"].index("cli") + 1 :]
    monkeypatch.setenv("FGCTL_POLICIES", str(tmp_path))
    result = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert result.exit_code == 0, result.output
    values = options(container)
    recipe = load_recipe(values["recipe"], [values["set"]])
    assert recipe.ppo.prompts_per_step % (int(values["nnodes"]) * int(values["nproc-per-node"])) == 0


def test_what_it_writes_outlives_its_pods(job, container):
    volumes = {volume["name"]: volume for volume in job["template"]["spec"]["template"]["spec"]["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    for path in (options(container)["run"], *(variable["value"] for variable in container["env"])):
        volume = next(mounts[place] for place in mounts if path == place or path.startswith(f"{place}/"))
        assert "persistentVolumeClaim" in volume, path
