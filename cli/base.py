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
    """Make a base model available, and the trunk that the current policies need; print where they are.

    The embedded default is converted at first use. A trunk is the base with a merged parent.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from policies.trunk import trunks

    with busy("Looking for the base model"):
        model = resolve_base(name)
        merged = trunks(model, PolicyStore())
    if json_output:
        named, *others = [{"name": m.name, "path": str(m.path), "digest": m.digest} for m in (model, *merged)]
        print_json(named | {"trunks": others})
        return
    remarks.print(f"Base model {model.name} ({model.digest[:12]}) in {model.path}")
    for trunk in merged:
        remarks.print(f"Trunk {trunk.name} ({trunk.digest[:12]}) in {trunk.path}")
