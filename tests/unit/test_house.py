"""What makes the code easy to find: maps of the folders, no crowded folders, names that say what they hold."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cli", "deploy/monitoring", "policies", "rewards", "service", "trainer")
FOLDERS = [
    init.parent for package in PACKAGES for init in (ROOT / package).rglob("__init__.py")
    if "migrations" not in init.parts
]  # fmt: skip
MOST_MODULES = 14
VAGUE = {"one", "found", "said", "given"}
"""Names of variables that say nothing about what they hold."""


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_the_docstring_of_a_folder_lists_its_files(folder):
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    modules = {file.name for file in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
    folders = {f"{inner.name}/" for inner in folder.iterdir() if (inner / "__init__.py").exists()}
    listed = set(re.findall(r"[\w]+(?:\.py|/)", docstring))
    assert modules | folders <= listed


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_no_folder_is_crowded(folder):
    assert len(list(folder.glob("*.py"))) <= MOST_MODULES


def test_variables_are_named_for_what_they_hold():
    vague = []
    for top in ("cli", "deploy", "policies", "rewards", "service", "tests", "trainer"):
        for file in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                bound = (
                    node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                    else node.arg if isinstance(node, ast.arg)
                    else node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                    else None
                )  # fmt: skip
                if bound in VAGUE:
                    vague.append(f"{name(file)}:{node.lineno} {bound}")
    assert not vague
