"""Data flows one way: cli -> service | trainer -> rewards, policies; what benchmarks share lies below all."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "cli": {"cli", "service", "trainer", "rewards", "policies", "measuring"},
    "service": {"service", "rewards", "policies", "measuring"},
    "trainer": {"trainer", "rewards", "policies", "measuring"},
    "policies": {"policies", "rewards"},
    "rewards": {"rewards"},
    "measuring": {"measuring"},
}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_lies_below_them(package):
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"
                names = [node.module]
            imported = {name.split(".")[0] for name in names} & set(MAY_IMPORT)
            assert imported <= MAY_IMPORT[package], f"{file} line {node.lineno}"


def test_the_command_line_starts_without_heavy_packages():
    import subprocess
    import sys

    code = "import sys, cli.main; print([m for m in ('torch', 'vllm', 'transformers', 'fastapi') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"
