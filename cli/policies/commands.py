"""The commands of `fgctl policies`; those that are longer have modules of their own."""

from typing import Annotated, Any

import typer

from cli.output import print_json, print_table, remarks
from cli.policies.canary import canary
from cli.policies.copy_between_stores import pull, push
from cli.policies.diff import diff
from cli.policies.exchange import export, import_
from cli.policies.fields import flat
from cli.policies.mix import mix
from cli.policies.options import JsonOption, ProfileArgument
from cli.policies.verify_set import verify_set
from cli.policies_option import PoliciesOption

app = typer.Typer(help="The registry: stored policies, and which one each profile serves.", no_args_is_help=True)

ReasonOption = Annotated[str, typer.Option(help="Why; recorded in the ledger.")]


@app.command(name="list")
def list_policies(policies: PoliciesOption = None, json_output: JsonOption = False) -> None:
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
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show a version's weights, lineage, recipe and scores, and its profile's promotions."""
    from policies.store import PolicyStore

    store = PolicyStore()
    manifest = store.manifest(profile, version or store.profile(profile).version)
    if json_output:
        print_json(manifest.model_dump(mode="json"))
        return
    print_table(
        f"{manifest.profile}@{manifest.version}",
        ["field", "value"],
        [[name, value] for name, value in flat(manifest.model_dump(mode="json") | {"scores": manifest.figures})],
    )
    if promotions := store.promotions(profile):
        print_table(
            f"Promotions of {profile}",
            ["when", "who", "action", "from", "to", "reward, to - from", "reason", "overridden"],
            [
                [
                    f"{promotion.when:%Y-%m-%d %H:%M}",
                    promotion.who,
                    promotion.action,
                    promotion.previous or "-",
                    promotion.version,
                    promotion.difference or "-",
                    promotion.reason,
                    promotion.overridden or "",
                ]
                for promotion in promotions
            ],
        )


app.command()(diff)


@app.command()
def promote(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="PROFILE VERSION",
            help="A profile, or sft for the supervised parent, and a stored version of it; with --set, PROFILE=VERSION "
            "for each of short, medium and long.",
        ),
    ],
    reason: ReasonOption = "",
    as_set: Annotated[
        bool,
        typer.Option(
            "--set", help="Promote short=VERSION medium=VERSION long=VERSION together, if they differ enough."
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Promote it even if it earns less than the current version, or cannot be compared."
        ),
    ] = False,
    served: Annotated[
        bool | None,
        typer.Option(
            "--served/--anchor",
            help="Whether users can ask for the profile, or it is only an anchor of mixtures.",
            show_default=False,
        ),
    ] = None,
    policies: PoliciesOption = None,
) -> None:
    """Make a stored version the one its profile serves, after checking its adapter; running services follow.

    It is refused when it earns less weighted reward than the current version, that is, when the whole 95 % interval
    of the difference is below zero. With --set, three versions are promoted in one step, or none of them: it is
    refused as well unless they are a choice, as `fgctl policies verify --set` checks.
    """
    from policies.store import PolicyStore
    from rewards.errors import FgctlError

    if as_set:
        _promote_set(what, reason, force)
        return
    if len(what) != 2:
        raise FgctlError("Name a profile and a version, or with --set PROFILE=VERSION for each of short, medium, long.")
    profile, version = what
    promotion = PolicyStore().promote(profile, version, reason, force, served)
    if promotion is None:
        remarks.print(f"{version} is already the current version of {profile}.")
        return
    if promotion.overridden:
        remarks.print(f"Overridden, and recorded in the ledger: {promotion.overridden}")
    remarks.print(f"{profile} now serves {version}.")


def _promote_set(what: list[str], reason: str, force: bool) -> None:
    from policies.store import PolicyStore
    from rewards.errors import FgctlError

    versions = dict(name.partition("=")[::2] for name in what)
    if len(versions) != len(what) or not all(versions.values()):
        raise FgctlError(f"{' '.join(what)} does not name a version for each profile; write short=0123456789ab.")
    promotions = PolicyStore().promote_set(versions, reason, force)
    for promotion in promotions:
        if promotion.overridden:
            remarks.print(f"Overridden, and recorded in the ledger: {promotion.overridden}")
        remarks.print(f"{promotion.profile} now serves {promotion.version}.")
    if not promotions:
        remarks.print("All three are already current.")


app.command()(canary)
app.command()(mix)
app.command()(export)
app.command(name="import")(import_)
app.command()(push)
app.command()(pull)


@app.command()
def rollback(profile: ProfileArgument, reason: ReasonOption = "", policies: PoliciesOption = None) -> None:
    """Go back to the version that was current before the last promotion; repeat it to go further back."""
    from policies.store import PolicyStore

    promotion = PolicyStore().rollback(profile, reason)
    remarks.print(
        f"{profile} serves {promotion.version} again instead of {promotion.previous}; running services follow."
    )


@app.command()
def verify(
    profile: Annotated[str | None, typer.Argument(help="A profile.", show_default="all")] = None,
    version: Annotated[str | None, typer.Argument(help="A stored version.", show_default="all")] = None,
    as_set: Annotated[
        bool, typer.Option("--set", help="Check instead whether short, medium and long differ enough to be a choice.")
    ] = False,
    instead: Annotated[
        list[str] | None,
        typer.Option("--with", help="With --set: PROFILE@VERSION in place of the current version. Can be repeated."),
    ] = None,
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check stored versions: content, manifest, parent, no pickles, and an adapter that a service can use.

    With --set, check by recorded evaluations whether the served profiles differ: in length, in their answers, and in
    what they earn by whose weights.
    """
    if as_set:
        verify_set(instead or [], json_output)
        return
    from policies.store import PolicyStore
    from policies.verification import absent_bases, problem, stored_policies
    from rewards.errors import FgctlError

    store = PolicyStore()
    chosen = [(profile, version)] if profile and version else stored_policies(store, profile)
    problems = {policy: problem(store, *policy) for policy in chosen}
    if json_output:
        print_json([{"profile": name, "version": number, "problem": what} for (name, number), what in problems.items()])
    else:
        rows = [[*policy, what or "sound"] for policy, what in problems.items()]
        print_table(f"Policies in {store.root}", ["profile", "version", "verified"], rows)
    for base in absent_bases(store, problems):
        remarks.print(f"The base {base} is not on this machine; the shapes of its policies were not checked.")
    broken = [what for what in problems.values() if what]
    if broken:
        raise FgctlError(f"{len(broken)} of {len(problems)} policies cannot be used. The first problem: {broken[0]}")
