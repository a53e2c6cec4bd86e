"""`fgctl policies export` and `fgctl policies import`."""

from typing import Annotated

import typer

from cli.output import print_json, remarks
from cli.policies.options import JsonOption
from cli.policies_option import PoliciesOption

PlaceHelp = "A directory, or hf://ORGANISATION/NAME on the Hugging Face Hub."
BaseOption = Annotated[
    str | None,
    typer.Option(help="The base model: a Hugging Face directory or name.", show_default="the embedded one"),
]


def export(
    policy: Annotated[
        str, typer.Argument(metavar="PROFILE[@VERSION]", help="The current version unless one is named.")
    ],
    to: Annotated[str, typer.Option(help=PlaceHelp)],
    base: BaseOption = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            help="What the adapter names as its base.", show_default="the base, or the trunk exported beside it"
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="The licence in the card.", show_default="apache-2.0 with the embedded base")
    ] = None,
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write a version as a plain adapter that PEFT, `vllm serve --lora-modules` and the Hub load as it is.

    A policy on a trunk comes with it: in the directory `trunk`, or in a repository of its own.
    """
    from policies.exchange.exporting import export_policy
    from policies.exchange.places import place
    from policies.store import PolicyStore

    store, (profile, _, version) = PolicyStore(), policy.partition("@")
    exported = export_policy(
        store,
        profile,
        version or store.profile(profile).version,
        place(to),
        base=base,
        base_model=base_model,
        licence=licence,
    )
    if json_output:
        print_json(exported.as_json() | {"to": to})
        return
    remarks.print(f"{profile}@{exported.manifest.version} is in {to}, an adapter of {exported.base_model}.")


def import_(
    source: Annotated[str, typer.Argument(metavar="DIR or hf://…", help=PlaceHelp)],
    profile: Annotated[str, typer.Option(help="The profile to store it for.")],
    weights: Annotated[
        str | None,
        typer.Option(
            help="The weights that it was trained for: w1,w2,w3 or name=w,…; none for sft.", show_default=False
        ),
    ] = None,
    base: BaseOption = None,
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Store an adapter that was trained elsewhere, by PEFT or TRL, or exported here; `promote` serves it.

    What cannot be served exactly, such as DoRA or whole modules, is refused.
    """
    from policies.exchange.importing import import_policy
    from policies.exchange.places import place
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.configuration import load_configuration

    wanted = None if weights is None else Weights.parse(weights, load_configuration().specs)
    stored = import_policy(PolicyStore(), place(source), profile, wanted, base)
    if json_output:
        print_json({"profile": profile, "version": stored.version, "base": stored.base.name})
        return
    remarks.print(f"Stored {profile}@{stored.version}, an adapter of {stored.base.name}.")
    remarks.print(f"To serve it: fgctl policies promote {profile} {stored.version}", highlight=False)
