"""`fgctl serve`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json, print_table, remarks
from cli.policies_option import PoliciesOption
from service.engine.cpu_environment import missing, prepare_environment

if TYPE_CHECKING:
    from service.settings import Settings


def serve(
    engine_arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="After `--`: arguments of vLLM's engine, such as `-- --tensor-parallel-size 4`; they come after "
            "those of FGCTL_ENGINE_ARGS. `fgctl serve -- --help` lists them.",
            metavar="[-- ENGINE ARGUMENTS]",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    base: Annotated[
        str | None, typer.Option(help="Base model: a Hugging Face directory or name.", show_default="embedded")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys, written by `fgctl keys add`.", show_default="none")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Accept other machines without keys.")] = False,
    policies: PoliciesOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run and the memory that it needs, without starting it.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="With --dry-run: print it as JSON.")] = False,
) -> None:
    """Serve every profile over HTTP and score each answer. FGCTL_… environment variables set everything else."""
    settings = _settings({"base": base, "keys": keys, "open": open_ or None}, engine_arguments or [])
    if dry_run:
        _show(settings, json_output)
        return
    from service.run import run

    workers = 1
    if settings.engine_args:
        from service.engine.plan import local_workers, user_arguments

        prepare_environment()
        with busy("Reading the engine's arguments"):
            workers = local_workers(user_arguments(settings))
    for remark in missing(os.environ, settings.kv_cache_gib, workers):
        remarks.print(remark)
    remarks.print(f"Serving on http://{host}:{port}; ready when /readyz answers 200, in about half a minute.")
    run(settings, host, port)


def _settings(options: dict[str, Any], engine_arguments: list[str]) -> "Settings":
    """The settings of environment and command line, which takes precedence. Raises FgctlError."""
    from pydantic import ValidationError

    from rewards.errors import FgctlError
    from service.settings import Settings

    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = f"FGCTL_{first['loc'][0]}".upper()
        raise FgctlError(f"{name}: {first['msg']}; fix the environment variable.") from None
    return settings.model_copy(update={"engine_args": (*settings.engine_args, *engine_arguments)})


def _show(settings: "Settings", json_output: bool) -> None:
    """Print what would run. Raises FgctlError for what cannot."""
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from service.engine.plan import shapes_of
    from service.engine.preview import preview

    shapes = shapes_of(PolicyStore(settings.policies), settings.resident_adapters)
    with busy("Asking vLLM"):
        report = preview(resolve_base(settings.base), shapes, settings)
    if json_output:
        print_json(report)
        return
    rows = [
        [f"--{row['argument'].replace('_', '-')}", row["value"], row["from"], row["why"]] for row in report["arguments"]
    ]
    print_table("The engine's arguments", ["argument", "value", "from", "why"], [list(map(str, row)) for row in rows])
    if report["environment"]:
        print_table("Its environment", ["variable", "value"], list(report["environment"].items()))
    facts = {name: report[name] for name in ("base", "device", "sequences", "cache_tokens", "whole_contexts")}
    facts |= {f"{name} parallel": size for name, size in report["layout"].items() if name != "devices"}
    facts |= report["memory"]
    print_table(
        "What it needs", ["what", "value"], [[name.replace("_", " "), _rounded(v)] for name, v in facts.items()]
    )
    if not report["memory"]["fits"]:
        remarks.print("It does not fit into this machine's memory: divide it among more devices, or give it less.")


def _rounded(value: object) -> object:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
