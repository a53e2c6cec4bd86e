"""Data flows one way, between the packages and between the rooms of each package; no folders depend on each other."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "cli": {"cli", "service", "trainer", "rewards", "policies"},
    "service": {"service", "rewards", "policies"},
    "trainer": {"trainer", "rewards", "policies"},
    "policies": {"policies", "rewards"},
    "rewards": {"rewards"},
    "deploy": {"deploy", "service", "rewards", "policies"},
}
FLOORS = (
    {"domain", "errors", "settings"},
    {"telemetry"},
    {"edge", "metrics", "engine", "served"},
    {"admission", "scoring", "feedback", "sinks"},
    {"preferences"},
    {"answering"},
    {"parts"},
    {"backend"},
    {"api", "pages"},
    {"app"},
    {"run"},
    {"bench"},
)
"""The rooms of service/, from the ground floor up. A room may import what lies on the floors below it."""


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the module of each of a file's imports; `from package import module` is the module."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                path = ROOT / module.replace(".", "/")
                yield node.lineno, module if path.is_dir() or path.with_suffix(".py").exists() else node.module


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """What a module is part of in its package: a folder, or a file beside the folders."""
    return module.split(".")[1] if "." in module else ""


def rooms_imported(package: str) -> dict[str, set[str]]:
    """For each room of a package the other rooms of it that it imports."""
    imported: dict[str, set[str]] = {}
    for file in (ROOT / package).rglob("*.py"):
        importer = room(module_of(file))
        others = {room(module) for _, module in imports(file) if module.split(".")[0] == package}
        imported.setdefault(importer, set()).update(others - {importer, ""})
    return imported


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_lies_below_them(package):
    for file in (ROOT / package).rglob("*.py"):
        for line, module in imports(file):
            forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package]
            assert module.split(".")[0] not in forbidden, f"{file} line {line}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_rooms_do_not_import_each_other_in_a_circle(package):
    imported = rooms_imported(package)
    while leaves := {name for name, others in imported.items() if not others & imported.keys()}:
        imported = {name: others for name, others in imported.items() if name not in leaves}
    assert not imported, "rooms in a circle, or above one"


def test_rooms_of_the_service_import_only_from_the_floors_below_them():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    imported = rooms_imported("service")
    imported.pop("", None)
    assert imported.keys() == floor.keys()
    for name, others in imported.items():
        assert all(floor[other] < floor[name] for other in others), f"{name} imports {sorted(others)}"


def test_the_command_line_starts_without_heavy_packages():
    code = "import sys, cli.main; print([m for m in ('torch', 'vllm', 'transformers', 'fastapi') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"
