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
    """Make a base model available and print where it is. The embedded default is converted at first use."""
    from policies.base import resolve_base

    with busy("Looking for the base model"):
        model = resolve_base(name)
    if json_output:
        print_json({"name": model.name, "path": str(model.path), "digest": model.digest})
    else:
        remarks.print(f"Base model {model.name} ({model.digest[:12]}) in {model.path}")
