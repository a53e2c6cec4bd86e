"""`fgctl base`."""

from typing import Annotated

import typer

from cli.output import busy, print_json, remarks


def base(
    name: Annotated[
        str | None, typer.Argument(help="A Hugging Face directory or name.", show_default="the embedded default")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Make a base model available, converting the embedded default at first use, and say where it is."""
    from policies.base import resolve_base

    with busy("Looking for the base model"):
        found = resolve_base(name)
    if json_output:
        print_json({"name": found.name, "path": str(found.path), "digest": found.digest})
    else:
        remarks.print(f"Base model {found.name} ({found.digest[:12]}) in {found.path}")
