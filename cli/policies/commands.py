"""`fgctl policies list`, `show`, `diff`, `promote`, `canary`, `mix`, `rollback` and `verify`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import print_json, print_table, remarks
from cli.policies.canary import canary

if TYPE_CHECKING:
    from policies.manifest import PolicyManifest
    from policies.store import PolicyStore

app = typer.Typer(help="The registry: stored policies, and which of them each profile serves.", no_args_is_help=True)

_NOT_COMPARED: dict[str, Any] = {"per_question": True, "against": True, "served": {"score_ratio", "input_ratio"}}
"""Of the scores, what is too much to look at side by side."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the ledger.")]
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
    """Show a version, its weights, lineage, recipe and scores, and its profile's promotions."""
    from policies.store import PolicyStore

    store = PolicyStore()
    manifest = store.manifest(profile, version or store.profile(profile).version)
    if json_output:
        print_json(manifest.model_dump(mode="json"))
        return
    print_table(
        f"{manifest.profile}@{manifest.version}",
        ["field", "value"],
        [[name, value] for name, value in _flat(manifest.model_dump(mode="json") | {"scores": manifest.figures})],
    )
    if promotions := store.promotions(profile):
        print_table(
            f"Promotions of {profile}",
            ["when", "who", "action", "from", "to", "reward, to - from", "reason", "overridden"],
            [
                [
                    f"{one.when:%Y-%m-%d %H:%M}",
                    one.who,
                    one.action,
                    one.previous or "-",
                    one.version,
                    one.difference or "-",
                    one.reason,
                    one.overridden or "",
                ]
                for one in promotions
            ],
        )


@app.command()
def diff(
    profile: ProfileArgument,
    a: Annotated[str, typer.Argument(help="A stored version, or PROFILE@VERSION.")],
    b: Annotated[
        str | None, typer.Argument(help="What to compare it with, likewise.", show_default="the current version")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Compare two versions: where weights, lineage, data and recipe differ, both scores, how far the updates differ."""
    from policies.adapter import LoraAdapter, relative_difference
    from policies.comparison import NotComparable, reward_difference
    from policies.store import PolicyStore

    store = PolicyStore()
    one, other = _named(store, profile, a), _named(store, profile, b or store.profile(profile).version)
    adapters = [LoraAdapter(store.verify(m.profile, m.version)) for m in (one, other)]
    apart = relative_difference(*adapters) if one.base.digest == other.base.digest else None
    try:
        reward, reason = reward_difference(one, other), ""
    except NotComparable as error:
        reward, reason = None, str(error)
    lineage = {"weights", "base", "parent", "recipe", "data", "rewards", "steps", "episodes"}
    differing = {name: pair for name, pair in _beside(one, other, include=lineage).items() if pair[0] != pair[1]}
    scores = _beside(one, other, include={"scores"}, exclude={"scores": _NOT_COMPARED})
    if json_output:
        print_json(
            {
                "a": {"profile": one.profile, "version": one.version},
                "b": {"profile": other.profile, "version": other.version},
                "differences": differing,
                "scores": {name.removeprefix("scores."): pair for name, pair in scores.items()},
                "weighted_reward": reward and reward.model_dump(),
                "updates": {"relative_difference": apart},
            }
        )
        return
    names = [f"{m.profile}@{m.version}" for m in (one, other)]
    rows = [[name, *map(_text, pair)] for name, pair in (differing | scores).items()]
    print_table("What differs, and the scores", ["field", *names], rows)
    remarks.print(f"Weighted reward of {names[0]} less that of {names[1]}: {reward}." if reward else f"{reason}.")
    if apart is not None:
        remarks.print(f"The updates are {apart:.3f} apart, relative to that of {names[1]}.")


@app.command()
def promote(
    profile: ProfileArgument,
    version: Annotated[str, typer.Argument(help="A stored version.")],
    reason: ReasonOption = "",
    force: Annotated[
        bool, typer.Option("--force", help="Even if its scores fall below the current one's, or do not compare.")
    ] = False,
    served: Annotated[
        bool | None,
        typer.Option(
            "--served/--anchor", help="Whether the profile can be asked for, or only serves to mix.", show_default=False
        ),
    ] = None,
) -> None:
    """Make a stored version the one its profile serves, after checking its adapter; running services follow.

    It is refused when it earns less weighted reward than the current one, by the whole 95 % interval.
    """
    from policies.store import PolicyStore

    promotion = PolicyStore().promote(profile, version, reason, force, served)
    if promotion is None:
        remarks.print(f"{profile} means {version} already.")
        return
    if promotion.overridden:
        remarks.print(f"Overridden and recorded: {promotion.overridden}")
    remarks.print(f"{profile} now means {version}.")


app.command()(canary)


@app.command()
def mix(
    weights: Annotated[str, typer.Option(help="The weights wanted: w1,w2,w3, or name=w,… .")],
    profile: Annotated[str, typer.Option(help="The profile to store it for.")] = "mixture",
    rank: Annotated[
        int | None, typer.Option(min=1, help="Compress to this rank.", show_default="the anchors' ranks together")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Base model: a Hugging Face directory or name.", show_default="embedded")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Mix the current policies for any weights, exactly, and store the result as a new version.

    Weights that no mixture reaches are replaced by the nearest that one does.
    """
    from policies.base import resolve_base
    from policies.mixing import MIXTURE, anchors, mixture_for, store_mixture
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.configuration import load_configuration

    wanted = Weights.parse(weights, load_configuration().specs)
    store = PolicyStore()
    mixture = mixture_for(wanted, anchors(store, resolve_base(base).digest))
    if mixture.anchor is not None:
        name = mixture.anchor.name
        if json_output:
            print_json({"anchor": name, "weights": wanted.as_dict(), "weights_served": mixture.served.as_dict()})
        remarks.print(f"{name} is the nearest to {wanted} that can be had; there is nothing to mix.")
        return
    stored = store_mixture(store, mixture, rank, profile)
    if json_output:
        print_json(
            {
                "profile": profile,
                "version": stored.version,
                "weights": wanted.as_dict(),
                "weights_served": mixture.served.as_dict(),
                **stored.recipe[MIXTURE],
            }
        )
        return
    made = stored.recipe[MIXTURE]
    rows = [[f"{one['profile']}@{one['version']}", f"{one['share']:.3f}"] for one in made["anchors"]]
    print_table(f"{profile}@{stored.version} for {mixture.served}", ["anchor", "share"], rows)
    if not mixture.served.same_as(wanted):
        remarks.print(f"{wanted} is out of the policies' reach; {mixture.served} is the nearest.")
    remarks.print(f"Rank {made['rank']}; compression left out {made['tail_energy']:.2e} of the update's energy.")


@app.command()
def rollback(profile: ProfileArgument, reason: ReasonOption = "") -> None:
    """Go back to the version that was current before the last promotion; once more goes further back."""
    from policies.store import PolicyStore

    promotion = PolicyStore().rollback(profile, reason)
    remarks.print(
        f"{profile} means {promotion.version} again, no more {promotion.previous}. Restart the service to serve it."
    )


@app.command()
def verify(
    profile: Annotated[str | None, typer.Argument(help="A profile.", show_default="all")] = None,
    version: Annotated[str | None, typer.Argument(help="A stored version.", show_default="all")] = None,
    json_output: JsonOption = False,
) -> None:
    """Check stored versions: content, manifest, base, parent, safetensors alone, sound tensors of the right shape."""
    from policies.store import PolicyStore
    from policies.verification import problem, stored_policies
    from rewards.errors import FgctlError

    store = PolicyStore()
    chosen = [(profile, version)] if profile and version else stored_policies(store, profile)
    found = {(name, one): problem(store, name, one) for name, one in chosen}
    if json_output:
        print_json([{"profile": name, "version": one, "problem": said} for (name, one), said in found.items()])
    else:
        rows = [[name, one, said or "sound"] for (name, one), said in found.items()]
        print_table(f"Policies in {store.root}", ["profile", "version", "verified"], rows)
    broken = [said for said in found.values() if said]
    if broken:
        raise FgctlError(f"{len(broken)} of {len(found)} policies cannot be used, the first since: {broken[0]}")


def _named(store: "PolicyStore", profile: str, version: str) -> "PolicyManifest":
    """The manifest of VERSION, a version of that profile, or of PROFILE@VERSION."""
    other, _, version = version.rpartition("@")
    return store.manifest(other or profile, version)


def _beside(one: "PolicyManifest", other: "PolicyManifest", **chosen: Any) -> dict[str, tuple[Any, Any]]:
    """The chosen fields of both by dotted name; None where one has none."""
    left, right = (_leaves(manifest.model_dump(mode="json", **chosen)) for manifest in (one, other))
    return {name: (left.get(name), right.get(name)) for name in left | right}


def _flat(value: Any) -> list[tuple[str, str]]:
    """Dotted names and values of nested objects, for a table."""
    return [(name, _text(leaf)) for name, leaf in _leaves(value).items()]


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """The values of nested objects by dotted name."""
    if isinstance(value, dict) and value:
        inside = value
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inside = dict(enumerate(value))
    else:
        return {name: value}
    return {
        dotted: leaf
        for key, inner in inside.items()
        for dotted, leaf in _leaves(inner, f"{name}.{key}" if name else str(key)).items()
    }


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
