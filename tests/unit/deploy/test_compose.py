"""deploy/compose.yaml fits the schema, is locked down, and agrees with the files it mounts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from service.settings import Settings

DEPLOY = Path(__file__).parents[3] / "deploy"
FILE = DEPLOY / "compose.yaml"
SERVICES = ("fgctl", "keys", "prometheus", "alertmanager", "grafana", "postgres")


def check_schema(file):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_a_compose_file():
    result = check_schema(FILE)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("cap_drop:", "cap_dropp:"), ("condition: service_healthy", "condition: healthy"), ("retries: 4", "retries: [4]")],
)
def test_the_schema_finds_mistakes(tmp_path, right, wrong):
    text = FILE.read_text()
    assert right in text
    broken = tmp_path / "compose.yaml"
    broken.write_text(text.replace(right, wrong))
    result = check_schema(broken)
    assert result.returncode == 1
    assert "services" in result.stdout


def test_it_has_every_service(compose):
    assert tuple(compose["services"]) == SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_is_root_or_can_become_root(compose, name):
    service = compose["services"][name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_limits(compose, name):
    limits = compose["services"][name]["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert compose["services"][name]["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "keys"])
def test_every_running_container_has_a_health_check(compose, name):
    check = compose["services"][name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    # By address: a name might be that of another container.
    assert "localhost" not in " ".join(check["test"])


def test_images_are_pinned_to_releases(compose):
    for name, service in compose["services"].items():
        image, _, tag = service["image"].rpartition(":")
        assert image, name
        assert re.match(r"v?\d+\.\d+", tag), f"{name}: {tag}"
    assert compose["services"]["fgctl"]["image"] == compose["services"]["keys"]["image"]


def test_the_image_has_the_packages_version(compose):
    version = re.search(r'^version = "(.+)"', (DEPLOY.parent / "pyproject.toml").read_text(), re.M)[1]
    assert compose["services"]["fgctl"]["image"] == f"fgctl:{version}"


def test_ports_are_open_to_this_machine_only(compose):
    for name, service in compose["services"].items():
        for port in service.get("ports", ()):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), f"{name}: {port}"
    assert "ports" not in compose["services"]["postgres"]
    assert compose["networks"]["database"]["internal"] is True


def test_only_services_that_need_each_other_share_a_network(compose):
    members = {
        network: {name for name, service in compose["services"].items() if network in service.get("networks", ())}
        for network in compose["networks"]
    }
    assert members == {
        "serving": {"fgctl", "prometheus"},
        "monitoring": {"prometheus", "alertmanager", "grafana"},
        "database": {"fgctl", "postgres"},
    }


def test_passwords_have_no_default():
    for name, default in re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|TOKEN)\w*)([^}]*)\}", FILE.read_text()):
        assert default == f":?Set {name} in deploy/.env"


def test_the_example_has_every_variable():
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    example = (DEPLOY / ".env.example").read_text()
    assert set(re.findall(r"^#?([A-Z_]+)=", example, re.M)) == used
    values = dict(re.findall(r"^#([A-Z_]+)=(.*)$", example, re.M))
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]+)\}", FILE.read_text()))
    assert {name: values[name] for name in defaults} == defaults
    assert set(re.findall(r"^([A-Z_]+)=$", example, re.M)) == {"GRAFANA_ADMIN_PASSWORD", "POSTGRES_PASSWORD"}


def test_settings_are_settings_of_the_service(compose, monkeypatch):
    environment = compose["services"]["fgctl"]["environment"]
    ours = {name: str(value or "") for name, value in environment.items() if name.startswith("FGCTL_")}
    assert {name.removeprefix("FGCTL_").lower() for name in ours} <= set(Settings.model_fields)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    # The service listens on 0.0.0.0, so it needs keys.
    assert settings.keys == Path("/etc/fgctl/keys.toml")
    assert not settings.open


def test_the_service_has_time_to_drain(compose):
    from service.run import _GRACE

    service = compose["services"]["fgctl"]
    drain = float(service["environment"]["FGCTL_DRAIN_SECONDS"])
    assert float(service["stop_grace_period"].removesuffix("s")) >= drain + _GRACE + 5


def test_mounts_are_declared_volumes_or_folders_of_the_repository(compose):
    for name, service in compose["services"].items():
        for mount in service.get("volumes", ()):
            source = mount["source"] if isinstance(mount, dict) else mount.split(":")[0]
            if source[0] in "./":
                assert (DEPLOY / source).is_dir(), f"{name}: {source}"
                assert mount["read_only"] if isinstance(mount, dict) else mount.endswith(":ro"), f"{name}: {source}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"


def test_only_the_keys_container_writes_keys(compose):
    mounts = {
        (name, mount)
        for name, service in compose["services"].items()
        for mount in service.get("volumes", ())
        if isinstance(mount, str) and mount.startswith("keys:")
    }
    assert mounts == {("fgctl", "keys:/etc/fgctl:ro"), ("keys", "keys:/etc/fgctl")}


def reachable(compose, address, client):
    """Whether a container on a common network listens there, judging by its health check."""
    host, port = address.rsplit(":", 1)
    service = compose["services"][host]
    shared = set(service["networks"]) & set(compose["services"][client]["networks"])
    return bool(shared) and f":{port}" in " ".join(service["healthcheck"]["test"])


def test_prometheus_finds_the_service_and_alertmanager(compose):
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = configuration["scrape_configs"]
    (alertmanager,) = configuration["alerting"]["alertmanagers"]
    mounts = dict(mount.split(":")[:2][::-1] for mount in compose["services"]["prometheus"]["volumes"])
    for discovering, expected in ((job, "fgctl:8000"), (alertmanager, "alertmanager:9093")):
        ((file,),) = [entry["files"] for entry in discovering["file_sd_configs"]]
        folder, name = file.split("/")
        (target,) = yaml.safe_load((DEPLOY / mounts[f"/etc/prometheus/{folder}"] / name).read_text())
        assert target == {"targets": [expected]}
        assert reachable(compose, expected, "prometheus")
    for file in configuration["rule_files"]:
        assert (DEPLOY / "prometheus" / file).is_file(), file


def test_grafana_finds_its_data_source_and_dashboards(compose):
    mounts = dict(mount.split(":")[:2][::-1] for mount in compose["services"]["grafana"]["volumes"])
    provisioning = DEPLOY / mounts["/etc/grafana/provisioning"]
    (sources,) = (provisioning / "datasources").glob("*.y*ml")
    (source,) = yaml.safe_load(sources.read_text())["datasources"]
    assert source["url"].startswith("http://")
    assert reachable(compose, source["url"].removeprefix("http://"), "grafana")
    (providers,) = (provisioning / "dashboards").glob("*.y*ml")
    (provider,) = yaml.safe_load(providers.read_text())["providers"]
    assert list((DEPLOY / mounts[provider["options"]["path"]]).glob("*.json"))
