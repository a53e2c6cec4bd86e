"""`fgctl policies mix`."""

from typing import Annotated

import typer

from cli.output import print_json, print_table, remarks
from cli.policies.options import JsonOption
from cli.policies_option import PoliciesOption


def mix(
    weights: Annotated[str, typer.Option(help="The wanted weights: w1,w2,w3 or name=w,…")],
    profile: Annotated[str, typer.Option(help="The profile to store the mixture for.")] = "mixture",
    rank: Annotated[
        int | None, typer.Option(min=1, help="Compress to this rank.", show_default="the sum of the anchors' ranks")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Base model: a Hugging Face directory or name.", show_default="embedded")
    ] = None,
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Mix the current policies exactly for any weights, and store the mixture as a new version.

    Weights that no mixture reaches are replaced by the nearest weights that one does.
    """
    from policies.base import resolve_base
    from policies.mixing import MIXTURE, anchors, mixture_for, store_mixture
    from policies.store import PolicyStore
    from policies.trunk import trunk_of
    from policies.weights import Weights
    from rewards.configuration import load_configuration

    wanted = Weights.parse(weights, load_configuration().specs)
    store = PolicyStore()
    mixture = mixture_for(wanted, anchors(store, trunk_of(resolve_base(base), store).digest))
    if mixture.anchor is not None:
        name = mixture.anchor.name
        if json_output:
            print_json({"anchor": name, "weights": wanted.as_dict(), "weights_served": mixture.served.as_dict()})
        remarks.print(f"{name} is the nearest that the policies reach to {wanted}; there is nothing to mix.")
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
    rows = [[f"{anchor['profile']}@{anchor['version']}", f"{anchor['share']:.3f}"] for anchor in made["anchors"]]
    print_table(f"{profile}@{stored.version} for {mixture.served}", ["anchor", "share"], rows)
    if not mixture.served.same_as(wanted):
        remarks.print(f"The policies do not reach {wanted}; {mixture.served} is the nearest.")
    remarks.print(f"Rank {made['rank']}; compression left out {made['tail_energy']:.2e} of the update's squared norm.")
