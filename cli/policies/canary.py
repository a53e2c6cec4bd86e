"""`fgctl policies canary`: try a version on a share of the callers, and see how it compares."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import print_json, print_styled, print_table, remarks
from cli.policies_option import PoliciesOption

if TYPE_CHECKING:
    from policies.promotion.sequential import CanaryComparison
    from policies.store import PolicyStore
    from service.served.canary_evidence import Evidence

_SERVICE = "http://127.0.0.1:8000"


def canary(
    profile: Annotated[str, typer.Argument(help="A profile.")],
    version: Annotated[str | None, typer.Argument(help="A stored version to try.", show_default=False)] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the callers that get it.")] = 0.1,
    end: Annotated[bool, typer.Option("--end", help="Give all traffic to the current version again.")] = False,
    service: Annotated[
        list[str] | None,
        typer.Option(
            help="A running service to read the evidence from; repeat for every replica, each with its own URL.",
            show_default=_SERVICE,
        ),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="API key of the services, if they need one.", envvar="FGCTL_API_KEY")
    ] = None,
    policies: PoliciesOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the evidence as JSON.")] = False,
) -> None:
    """Try a stored version on a share of a profile's callers; without a version, show how the canary compares.

    A caller always gets the same version; `promote` gives the canary all callers. Evidence and verdict come from the
    counts of running services, and may be read as often as you like.
    """
    from policies.store import PolicyStore
    from rewards.errors import FgctlError

    store = PolicyStore()
    if version is None and not end:
        _show(store, profile, service, api_key, json_output)
        return
    if version is not None and end:
        raise FgctlError("Give a version to try, or --end, or neither to see how the canary compares.")
    if service or json_output:
        raise FgctlError("--service and --json show how a canary compares; leave out the version and --end.")
    store.set_canary(profile, version, share)
    if version is None:
        remarks.print(f"All traffic of {profile} goes to {store.profile(profile).version}.")
    else:
        remarks.print(f"{share:.0%} of the callers of {profile} get {version}.")


def _show(
    store: "PolicyStore", profile: str, services: list[str] | None, api_key: str | None, json_output: bool
) -> None:
    """Print a canary's state, and evidence and verdict if a service has any."""
    from policies.promotion.sequential import compare
    from service.served.canary_evidence import NoMetrics, fetch_metrics, read_evidence

    current = store.profile(profile)
    state: dict[str, Any] = {"profile": profile, "incumbent": current.version, "canary": None, "verdict": None}
    if current.canary is None:
        if json_output:
            print_json(state)
        else:
            remarks.print(f"{profile} has no canary; all its traffic goes to {current.version}.")
        return
    state["canary"] = current.canary.model_dump()
    if not json_output:
        remarks.print(
            f"{current.canary.share:.0%} of the callers of {profile} get {current.canary.version}, the others "
            f"{current.version}."
        )
    try:
        expositions = {url: fetch_metrics(url, api_key) for url in services or [_SERVICE]}
        evidence = read_evidence(expositions, profile, current.canary.version)
    except NoMetrics as error:
        if services:
            raise
        if json_output:
            print_json(state)
        remarks.print(str(error))
        return
    comparison = compare(evidence.canary, evidence.incumbent)
    if json_output:
        print_json(state | _as_json(evidence, comparison) | {"services": list(expositions)})
        return
    _print_evidence(profile, evidence, comparison)


def _as_json(evidence: "Evidence", comparison: "CanaryComparison") -> dict[str, Any]:
    return {
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "responses": {"canary": evidence.canary.responses, "incumbent": evidence.incumbent.responses},
        "categories": {
            name: {
                "canary": difference.canary,
                "incumbent": difference.incumbent,
                "difference": difference.difference,
                "radius": difference.radius,
                "low": difference.low,
                "high": difference.high,
            }
            for name, difference in comparison.categories.items()
        },
    }


def _print_evidence(profile: str, evidence: "Evidence", comparison: "CanaryComparison") -> None:
    arms = f"canary ({evidence.canary.responses:.0f})", f"incumbent ({evidence.incumbent.responses:.0f})"
    rows = [
        [
            name,
            difference.canary,
            difference.incumbent,
            f"{difference.difference:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]",
        ]
        for name, difference in comparison.categories.items()
    ]
    if rows:
        title = f"Mean error probability of the scored responses of {profile}, and how many"
        print_table(title, ["", *arms, "canary - incumbent"], rows)
    print_styled("bold", comparison.verdict.replace("_", " "), f": {comparison.reason}")
