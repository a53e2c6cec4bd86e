"""`fgctl policies canary`: try a version on a share of the callers, and see how it does."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import print_json, print_table, remarks

if TYPE_CHECKING:
    from policies.sequential import CanaryComparison
    from policies.store import PolicyStore
    from service.served.canary_evidence import Evidence

_SERVICE = "http://127.0.0.1:8000"


def canary(
    profile: Annotated[str, typer.Argument(help="A profile.")],
    version: Annotated[str | None, typer.Argument(help="A stored version to try out.", show_default=False)] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the callers who get it.")] = 0.1,
    end: Annotated[bool, typer.Option("--end", help="Give all traffic to the current version again.")] = False,
    service: Annotated[
        list[str] | None,
        typer.Option(
            help="A running service to read the evidence from; give every replica, each by its own URL.",
            show_default=_SERVICE,
        ),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Key of the services, where they ask for one.", envvar="FGCTL_API_KEY")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print how the canary does as JSON.")] = False,
) -> None:
    """Try a stored version on a share of a profile's callers; without a version, show how the canary does.

    A canary's callers are always the same ones; `promote` gives it all of them. Evidence and verdict come from what
    running services counted, and may be looked at as often as one likes.
    """
    from policies.store import PolicyStore
    from rewards.errors import FgctlError

    store = PolicyStore()
    if version is None and not end:
        _show(store, profile, service, api_key, json_output)
        return
    if version is not None and end:
        raise FgctlError("Give a version to try out, or --end, or neither to see how the canary does.")
    if service or json_output:
        raise FgctlError("--service and --json are for seeing how a canary does; leave out the version and --end.")
    store.set_canary(profile, version, share)
    if version is None:
        remarks.print(f"All traffic of {profile} goes to {store.profile(profile).version}.")
    else:
        remarks.print(f"{share:.0%} of the callers of {profile} get {version}.")


def _show(
    store: "PolicyStore", profile: str, services: list[str] | None, api_key: str | None, json_output: bool
) -> None:
    """Print a canary's state, and its evidence and verdict where a service has any."""
    from policies.sequential import compare
    from service.served.canary_evidence import NoMetrics, fetch_metrics, read_evidence

    known = store.profile(profile)
    state: dict[str, Any] = {"profile": profile, "incumbent": known.version, "canary": None, "verdict": None}
    if known.canary is None:
        if json_output:
            print_json(state)
        else:
            remarks.print(f"{profile} has no canary; all its traffic goes to {known.version}.")
        return
    state["canary"] = known.canary.model_dump()
    if not json_output:
        remarks.print(
            f"{known.canary.share:.0%} of the callers of {profile} get {known.canary.version}, the others "
            f"{known.version}."
        )
    try:
        expositions = {one: fetch_metrics(one, api_key) for one in services or [_SERVICE]}
        evidence = read_evidence(expositions, profile, known.canary.version)
    except NoMetrics as error:
        if services:
            raise
        if json_output:
            print_json(state)
        remarks.print(str(error))
        return
    found = compare(evidence.canary, evidence.incumbent)
    if json_output:
        print_json(state | _as_json(evidence, found) | {"services": list(expositions)})
        return
    _print_evidence(profile, evidence, found)


def _as_json(evidence: "Evidence", found: "CanaryComparison") -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "responses": {"canary": evidence.canary.responses, "incumbent": evidence.incumbent.responses},
        "categories": {
            name: {
                "canary": one.canary,
                "incumbent": one.incumbent,
                "difference": one.difference,
                "radius": one.radius,
                "low": one.low,
                "high": one.high,
            }
            for name, one in found.categories.items()
        },
    }


def _print_evidence(profile: str, evidence: "Evidence", found: "CanaryComparison") -> None:
    arms = f"canary ({evidence.canary.responses:.0f})", f"incumbent ({evidence.incumbent.responses:.0f})"
    rows = [
        [name, one.canary, one.incumbent, f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"]
        for name, one in found.categories.items()
    ]
    if rows:
        title = f"Mean error probability of the scored responses of {profile}, and how many"
        print_table(title, ["", *arms, "canary - incumbent"], rows)
    remarks.print(f"[bold]{found.verdict.replace('_', ' ')}[/]: {found.reason}")
