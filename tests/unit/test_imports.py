"""Data flows one way: cli -> service | trainer -> rewards, policies. Nothing imports deploy."""

import ast
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
