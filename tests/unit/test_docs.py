"""What the documentation shows is there: commands with their options, JSON, and every page.

Programs in the documentation run in tests/servers/program/test_openai.py; `make docs` checks the links.
"""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
import typer
import yaml

from cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PROGRAM = re.compile(r"(?:.*[|&;] *|(?:[A-Z_]+=\S+ )*|store env \S+ )(?:\.venv/bin/)?fgctl (?P<arguments>.*)")
PLACEHOLDER = re.compile(r"\[[^\]]*\]|…")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands():
    """Every line of a page that calls fgctl, in an indented or fenced block, without its comment."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        lines = [line for line in text.split("\n") if line.startswith("    ")]
        lines += [line for block in blocks(text, "sh") for line in block.split("\n")]
        for line in lines:
            if match := PROGRAM.fullmatch(line.strip()):
                arguments = PLACEHOLDER.sub("", match["arguments"].split("  #")[0])
                yield pytest.param(arguments, id=f"{page.stem}: {arguments[:60]}")


@pytest.mark.parametrize("arguments", list(commands()))
def test_commands_of_the_documentation_exist_with_these_options(arguments):
    words = shlex.split(re.split(r" [<>|&] ?| && | -- ", arguments)[0])
    command = typer.main.get_command(app)
    context = click.Context(command)
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        context = click.Context(command, info_name=name, parent=context)
    try:
        command.make_context("fgctl", words)
    except click.MissingParameter:
        raise
    except click.BadParameter:
        pass  # a name that stands for another, or a file that is not here


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_json_of_the_documentation_is_json(page):
    for block in blocks(page.read_text(), "json"):
        json.loads(block)


def test_every_page_is_on_the_site():
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)
    site = yaml.load((ROOT / "mkdocs.yml").read_text(), loader)  # noqa: S506  # a safe loader but for one tag
    pages = re.findall(r"'([a-z]+\.md)'", str(site["nav"]))
    assert sorted(pages) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
