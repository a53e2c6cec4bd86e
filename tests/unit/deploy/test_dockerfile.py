"""The image contains everything that the package consists of, and the deployments agree with it."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

from policies.base import DEFAULT_BASE

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FIND = PROJECT["tool"]["setuptools"]["packages"]["find"]
PACKAGES = find_packages(str(ROOT), include=FIND["include"], exclude=FIND["exclude"])
TOP = sorted({package.split(".")[0] for package in PACKAGES})


def test_every_package_is_installed():
    folders = [file.parent for top in TOP for file in (ROOT / top).rglob("__init__.py")]
    assert sorted(".".join(path.relative_to(ROOT).parts) for path in folders) == sorted(PACKAGES)


@pytest.mark.parametrize("needed", [*TOP, "requirements", "pyproject.toml", "README.md", "LICENSE"])
def test_everything_that_is_installed_is_copied(needed):
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)).split()
    assert needed in copied
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert needed not in ignored


def test_only_development_tools_are_left_out():
    patterns = re.findall(r"-e '/(\S+)/d'", DOCKERFILE)
    listed = (ROOT / "requirements" / "cpu.in").read_text().split()
    left_out = {needed.split("==")[0] for needed in listed if re.search("|".join(patterns), needed)}
    assert {"kubernetes-validate", "mypy", "pre-commit", "pytest"} <= left_out
    imported = {re.split("[=<>]", needed)[0] for needed in PROJECT["project"]["dependencies"]}
    assert not imported & left_out
    developers = {re.split(r"[\[=<>]", needed)[0] for needed in PROJECT["project"]["optional-dependencies"]["dev"]}
    only_for_tools = {"cloudcoil", "mypy-extensions"}  # packages that nothing but a developer's tool depends on
    only_for_pre_commit = {"cfgv", "distlib", "identify", "nodeenv", "platformdirs", "python-discovery", "virtualenv"}
    only_for_moto = {
        "blinker", "boto3", "botocore", "flask", "itsdangerous", "py-partiql-parser", "responses", "s3transfer",
        "xmltodict",
    }  # fmt: skip
    assert left_out - developers <= only_for_tools | only_for_pre_commit | only_for_moto


def test_the_filter_leaves_packages_out_with_all_their_hashes(tmp_path):
    (script,) = re.findall(r"sed -E (.*?) \\\n\s+requirements/cpu.txt > needed.txt", DOCKERFILE, re.S)
    listed = tmp_path / "requirements.txt"
    blocks = {
        name: f"{name}==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n" for name in ("attrs", "mypy", "torch")
    }
    listed.write_text("# comment\n" + "".join(blocks.values()))
    kept = subprocess.run(["sh", "-c", f"sed -E {script} {listed}"], capture_output=True, text=True, check=True).stdout
    assert kept == "# comment\n" + blocks["attrs"] + blocks["torch"]


def test_every_package_is_listed_with_the_hashes_of_its_files():
    versions = {
        name: re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements" / name).read_text(), re.M)
        for name in ("cpu.in", "cpu.txt")
    }
    assert versions["cpu.in"] == sorted(versions["cpu.in"])
    assert sorted(versions["cpu.txt"]) == versions["cpu.in"]
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements" / "cpu.txt").read_text())
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)


def test_an_image_says_what_it_was_built_from():
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', DOCKERFILE))
    assert labels["version"] == PROJECT["project"]["version"]
    assert labels["licenses"] == "Apache-2.0"
    assert labels["source"] == PROJECT["project"]["urls"]["Repository"]
    (base,) = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    assert labels["base.name"] == f"docker.io/library/{base}"
    assert labels["revision"] == "$REVISION"
    assert "ENV FGCTL_REVISION=$REVISION\n" in DOCKERFILE


def test_the_service_finds_the_converted_base():
    (cache,) = re.findall(r"FGCTL_CACHE=(\S+) fgctl base", DOCKERFILE)
    assert f"ENV FGCTL_BASE={cache}/{DEFAULT_BASE}\n" in DOCKERFILE


def test_the_user_is_the_same_everywhere(compose, base):
    (user,) = re.findall(r"^USER (.+)$", DOCKERFILE, re.M)
    assert user == "10001:10001"
    assert "--gid 10001" in DOCKERFILE
    assert "--uid 10001" in DOCKERFILE
    assert {compose["services"][name]["user"] for name in ("fgctl", "keys")} == {user}
    contexts = [doc["spec"]["template"]["spec"]["securityContext"] for doc in base if doc["kind"] == "Deployment"]
    assert {f"{context['runAsUser']}:{context['runAsGroup']}" for context in contexts} == {user}
