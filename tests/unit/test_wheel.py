"""The wheel has whatever the program is made of, and what it reads at run time."""

import tomllib
from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def folder(package):
    return ROOT / package.replace(".", "/")


def test_every_file_of_the_program_is_in_the_wheel():
    find = SETTINGS["packages"]["find"]
    packages = find_packages(str(ROOT), include=find["include"], exclude=find["exclude"])
    packed = {path for package in packages for path in folder(package).glob("*.py")}
    for package, patterns in SETTINGS["package-data"].items():
        assert package in packages
        packed |= {path for pattern in patterns for path in folder(package).glob(pattern)}
    tops = [ROOT / package for package in packages if "." not in package]
    files = {path for top in tops for path in top.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".lock")}
    assert len(files) > 300
    assert files - packed == set()
