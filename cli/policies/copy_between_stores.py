"""`fgctl policies push` and `pull`: versions from one store to another, verified."""

from typing import Annotated

import typer

from cli.output import counting, print_json, remarks
from cli.policies.options import JsonOption
from cli.policies_option import PoliciesOption

OtherArgument = Annotated[str, typer.Argument(help="The other store: a directory, or s3://, gs://, az://, hf://.")]
NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="PROFILE or PROFILE@VERSION; can be repeated.", show_default="all")
]


def push(
    to: OtherArgument, names: NamesArgument = None, policies: PoliciesOption = None, json_output: JsonOption = False
) -> None:
    """Copy versions, and the parents they need, to another store.

    Each is verified before it leaves and read back. A store that has no profiles yet gets this one's, and its ledger;
    otherwise promote the versions there.
    """
    _copy(None, to, names, json_output)


def pull(
    source: OtherArgument, names: NamesArgument = None, policies: PoliciesOption = None, json_output: JsonOption = False
) -> None:
    """Copy versions, and the parents they need, from another store; otherwise like `push`."""
    _copy(source, None, names, json_output)


def _copy(source_name: str | None, target_name: str | None, names: list[str] | None, json_output: bool) -> None:
    from policies.store import PolicyStore
    from policies.store.copying import chosen_versions, copy_versions

    source, target = PolicyStore(source_name), PolicyStore(target_name)
    versions = chosen_versions(source, names or ())
    with counting("Copying", len(versions)) as progress:
        copied = copy_versions(source, target, versions, progress)
    begun = not names and target.begin_like(source)
    if json_output:
        print_json({"versions": [f"{p}@{v}" for p, v in versions], "copied": copied, "profiles": begun})
        return
    remarks.print(f"{copied} of {len(versions)} versions were copied and verified; the others were there.")
    if begun:
        remarks.print("The profiles and their ledger were copied, too.")
