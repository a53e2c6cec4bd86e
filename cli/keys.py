"""`fgctl keys add`, `list` and `revoke`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import print_json, print_table, remarks
from rewards.errors import FgctlError

app = typer.Typer(help="The API keys that the service accepts.", no_args_is_help=True)

FileOption = Annotated[
    Path | None, typer.Option("--keys", envvar="FGCTL_KEYS", help="The file of keys, which the service reads too.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who or what uses the key.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", help="generate, feedback, admin or metrics; several times.", show_default="generate"),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests at once.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Tokens read and written a minute.")] = None,
    keys: FileOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make a key and show it, this once: only its hash is kept. Limits not given are the service's own."""
    from service.domain.caller import SCOPES, Limits
    from service.edge.keys import KeyFile

    wanted = list(scopes or ["generate"])
    if unknown := [scope for scope in wanted if scope not in SCOPES]:
        raise FgctlError(f"There is no scope {unknown[0]!r}; choose among {', '.join(SCOPES)}.")
    if not 0 < len(name.strip()) <= 200:
        raise FgctlError("The name is empty or over 200 characters; say in a few words who uses the key.")
    path = _chosen(keys)
    limits = Limits(concurrency, requests_per_minute, tokens_per_minute)
    key_id, secret = KeyFile(path).add(name.strip(), wanted, limits)  # type: ignore[arg-type]
    if json_output:
        print_json({"id": key_id, "key": secret, "file": str(path)})
        return
    print(secret)
    remarks.print(f"Key {key_id} with {', '.join(wanted)} in {path}. Copy it now; it cannot be shown again.")


@app.command(name="list")
def list_keys(keys: FileOption = None, json_output: JsonOption = False) -> None:
    """List the keys: ids, names, scopes and limits."""
    from service.edge.keys import KeyFile

    path = _chosen(keys)
    known = KeyFile(path).read()
    if json_output:
        print_json([{"id": key_id} | key.model_dump(mode="json", exclude={"sha256"}) for key_id, key in known.items()])
        return
    print_table(
        f"Keys in {path}",
        ["id", "name", "scopes", "at once", "requests a minute", "tokens a minute", "created"],
        [
            [
                key_id,
                key.name,
                ", ".join(key.scopes),
                *(value or "-" for value in (key.concurrency, key.requests_per_minute, key.tokens_per_minute)),
                key.created.isoformat()[:16].replace("T", " "),
            ]
            for key_id, key in known.items()
        ],
    )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as `list` shows it.")],
    keys: FileOption = None,
) -> None:
    """Remove a key. A running service refuses it within a second or two."""
    from service.edge.keys import KeyFile

    revoked = KeyFile(_chosen(keys)).revoke(key_id)
    remarks.print(f"Key {key_id} of {revoked.name} is revoked.")


def _chosen(keys: Path | None) -> Path:
    if keys is None:
        raise FgctlError("Say where the keys are: --keys FILE, or FGCTL_KEYS, which the service reads too.")
    return keys
