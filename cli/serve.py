"""`fgctl serve`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.output import remarks
from service.engine.cpu_environment import PRELOADED, missing, with_preloads


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    base: Annotated[
        str | None, typer.Option(help="Base model: a Hugging Face directory or name.", show_default="embedded")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys, written by `fgctl keys add`.", show_default="none")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Accept other machines without keys.")] = False,
) -> None:
    """Serve every profile over HTTP and score each answer. FGCTL_… environment variables set everything else."""
    _preload_libraries()
    from pydantic import ValidationError

    from rewards.errors import FgctlError
    from service.run import run
    from service.settings import Settings

    try:
        options = {"base": base, "keys": keys, "open": open_ or None}
        settings = Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"FGCTL_{first['loc'][0]}".upper()
        raise FgctlError(f"{name}: {first['msg']}; fix the environment variable.") from None
    for remark in missing(os.environ, settings.kv_cache_gib):
        remarks.print(remark)
    remarks.print(f"Serving on http://{host}:{port}; ready when /readyz answers 200, in about half a minute.")
    run(settings, host, port)


def _preload_libraries() -> None:
    """Restart this program with the libraries preloaded that make a CPU fast."""
    if PRELOADED in os.environ or not sys.platform.startswith("linux"):
        return
    environment = with_preloads(os.environ)
    os.execve(sys.executable, [sys.executable, "-m", "cli", *sys.argv[1:]], environment)  # noqa: S606
