"""`fgctl policies diff`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import print_json, print_table, remarks
from cli.policies.fields import leaves, text
from cli.policies.options import JsonOption, ProfileArgument
from cli.policies_option import PoliciesOption

if TYPE_CHECKING:
    from policies.manifest import PolicyManifest
    from policies.store import PolicyStore

_NOT_COMPARED: dict[str, Any] = {"per_question": True, "against": True, "served": {"score_ratio", "input_ratio"}}
"""The scores that are too long for a table."""


def diff(
    profile: ProfileArgument,
    a: Annotated[str, typer.Argument(help="A stored version, or PROFILE@VERSION.")],
    b: Annotated[
        str | None,
        typer.Argument(help="The version to compare it with, in the same form.", show_default="the current version"),
    ] = None,
    policies: PoliciesOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compare two versions: weights, lineage, data and recipe where they differ, scores, and how far updates differ."""
    from policies.adapters.lora import LoraAdapter, relative_difference
    from policies.promotion.comparison import NotComparable, reward_difference
    from policies.store import PolicyStore

    store = PolicyStore()
    left, right = _manifest(store, profile, a), _manifest(store, profile, b or store.profile(profile).version)
    adapters = [LoraAdapter(store.verify(m.profile, m.version)) for m in (left, right)]
    update_difference = relative_difference(*adapters) if left.base.digest == right.base.digest else None
    try:
        reward, reason = reward_difference(left, right), ""
    except NotComparable as error:
        reward, reason = None, str(error)
    lineage = {"weights", "base", "parent", "recipe", "data", "rewards", "steps", "episodes"}
    differing = {name: pair for name, pair in _side_by_side(left, right, include=lineage).items() if pair[0] != pair[1]}
    scores = _side_by_side(left, right, include={"scores"}, exclude={"scores": _NOT_COMPARED})
    if json_output:
        print_json(
            {
                "a": {"profile": left.profile, "version": left.version},
                "b": {"profile": right.profile, "version": right.version},
                "differences": differing,
                "scores": {name.removeprefix("scores."): pair for name, pair in scores.items()},
                "weighted_reward": reward and reward.model_dump(),
                "updates": {"relative_difference": update_difference},
            }
        )
        return
    names = [f"{m.profile}@{m.version}" for m in (left, right)]
    rows = [[name, *map(text, pair)] for name, pair in (differing | scores).items()]
    print_table("What differs, and the scores", ["field", *names], rows)
    remarks.print(f"Weighted reward of {names[0]} minus that of {names[1]}: {reward}." if reward else f"{reason}.")
    if update_difference is not None:
        remarks.print(f"The updates differ by {update_difference:.3f}, relative to that of {names[1]}.")


def _manifest(store: "PolicyStore", profile: str, version: str) -> "PolicyManifest":
    """The manifest of VERSION, a version of that profile, or of PROFILE@VERSION."""
    named, _, version = version.rpartition("@")
    return store.manifest(named or profile, version)


def _side_by_side(a: "PolicyManifest", b: "PolicyManifest", **chosen: Any) -> dict[str, tuple[Any, Any]]:
    """The chosen fields of both by dotted name; None for a field that is missing in one."""
    left, right = (leaves(manifest.model_dump(mode="json", **chosen)) for manifest in (a, b))
    return {name: (left.get(name), right.get(name)) for name in left | right}
