"""`fgctl policies list`, `show` and `promote`."""

from typing import Annotated, Any

import typer

from cli.output import print_json, print_table, remarks

app = typer.Typer(help="List, show and promote the stored policies.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
ProfileArgument = Annotated[str, typer.Argument(help="A profile, or sft for the supervised parent.")]


@app.command(name="list")
def list_policies(json_output: JsonOption = False) -> None:
    """List every stored version of every profile, oldest first."""
    from policies.store import PolicyStore
    from rewards.categories import BUILT_IN

    store = PolicyStore()
    current = {name: profile.version for name, profile in store.profiles().items()}
    manifests = [
        store.manifest(profile, version) for profile in store.stored_profiles() for version in store.versions(profile)
    ]
    rows: list[dict[str, Any]] = [
        {
            "profile": m.profile,
            "version": m.version,
            "weights": m.weights and m.weights.as_dict(),
            "current": current.get(m.profile) == m.version,
            "scores": m.scores,
            "created": m.created.isoformat(),
        }
        for m in manifests
    ]
    if json_output:
        print_json(rows)
        return
    categories = list(dict.fromkeys([*BUILT_IN, *(category for row in rows for category in row["weights"] or {})]))
    print_table(
        f"Policies in {store.root}",
        ["profile", "version", f"weights ({', '.join(categories)})", "current", "created"],
        [
            [
                row["profile"],
                row["version"],
                ", ".join(f"{row['weights'].get(category, 0):.3f}" for category in categories)
                if row["weights"]
                else "-",
                "yes" if row["current"] else "",
                row["created"][:16].replace("T", " "),
            ]
            for row in rows
        ],
    )


@app.command()
def show(
    profile: ProfileArgument,
    version: Annotated[str | None, typer.Argument(help="A stored version.", show_default="the current one")] = None,
    json_output: JsonOption = False,
) -> None:
    """Show a version: its weights, lineage, recipe and scores."""
    from policies.store import PolicyStore

    store = PolicyStore()
    manifest = store.manifest(profile, version or store.profile(profile).version)
    if json_output:
        print_json(manifest.model_dump(mode="json"))
        return
    print_table(
        f"{manifest.profile}@{manifest.version}",
        ["field", "value"],
        [
            [name, value]
            for name, value in _flat(manifest.model_dump(mode="json", exclude={"scores": {"per_question"}}))
        ],
    )


@app.command()
def promote(profile: ProfileArgument, version: Annotated[str, typer.Argument(help="A stored version.")]) -> None:
    """Make a stored version the one its profile serves, after checking its adapter; running services keep theirs."""
    from policies.store import PolicyStore

    PolicyStore().promote(profile, version)
    remarks.print(f"{profile} now means {version}. Restart the service to serve it.")


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Dotted names and values of nested objects."""
    if isinstance(value, dict) and value:
        return [row for key, inner in value.items() for row in _flat(inner, f"{name}.{key}" if name else key)]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [row for i, item in enumerate(value) for row in _flat(item, f"{name}.{i}")]
    return [(name, f"{value:.6g}" if isinstance(value, float) else str(value))]
