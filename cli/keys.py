"""`fgctl keys add`, `list` and `revoke`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import print_json, print_table, remarks
from rewards.errors import FgctlError

app = typer.Typer(help="Manage the API keys that the service accepts.", no_args_is_help=True)

FileOption = Annotated[
    Path | None, typer.Option("--keys", envvar="FGCTL_KEYS", help="The key file, which the service also reads.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who or what uses the key.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="generate, feedback, score, admin or metrics; repeat for several.", show_default="generate"
        ),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Concurrent completions.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Requests per minute.")] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Prompt and completion tokens per minute.")
    ] = None,
    learn: Annotated[
        bool, typer.Option("--learn", help="Let the key's thumbs and comparisons move the weights that answer it.")
    ] = False,
    keys: FileOption = None,
    json_output: JsonOption = False,
) -> None:
    """Create a key and show it once; only its hash is stored. The service's limits apply unless set here."""
    from service.domain.caller import SCOPES, Limits
    from service.edge.keys import KeyFile

    chosen = list(scopes or ["generate"])
    if unknown := [scope for scope in chosen if scope not in SCOPES]:
        raise FgctlError(f"There is no scope {unknown[0]!r}; choose from {', '.join(SCOPES)}.")
    if not 0 < len(name.strip()) <= 200:
        raise FgctlError("The name is empty or longer than 200 characters; say in a few words who uses the key.")
    path = _required(keys)
    limits = Limits(concurrency, requests_per_minute, tokens_per_minute)
    key_id, secret = KeyFile(path).add(name.strip(), chosen, limits, learn=learn)  # type: ignore[arg-type]
    if json_output:
        print_json({"id": key_id, "key": secret, "file": str(path)})
        return
    print(secret)
    remarks.print(f"Added key {key_id} with {', '.join(chosen)} to {path}. Copy it now; it cannot be shown again.")


@app.command(name="list")
def list_keys(keys: FileOption = None, json_output: JsonOption = False) -> None:
    """List the keys with their ids, names, scopes and limits."""
    from service.edge.keys import KeyFile

    path = _required(keys)
    entries = KeyFile(path).read()
    if json_output:
        print_json(
            [{"id": key_id} | key.model_dump(mode="json", exclude={"sha256"}) for key_id, key in entries.items()]
        )
        return
    print_table(
        f"Keys in {path}",
        ["id", "name", "scopes", "concurrent", "requests/minute", "tokens/minute", "created"],
        [
            [
                key_id,
                key.name,
                ", ".join(key.scopes),
                *(value or "-" for value in (key.concurrency, key.requests_per_minute, key.tokens_per_minute)),
                key.created.isoformat()[:16].replace("T", " "),
            ]
            for key_id, key in entries.items()
        ],
    )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")],
    keys: FileOption = None,
) -> None:
    """Remove a key. A running service rejects it within two seconds."""
    from service.edge.keys import KeyFile

    revoked = KeyFile(_required(keys)).revoke(key_id)
    remarks.print(f"Revoked key {key_id} of {revoked.name}.")


def _required(keys: Path | None) -> Path:
    if keys is None:
        raise FgctlError("No key file is named; give --keys FILE or set FGCTL_KEYS, which the service also reads.")
    return keys
