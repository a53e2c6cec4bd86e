"""`fgctl policies verify --set`."""

from collections.abc import Sequence

from cli.output import print_json, print_table


def verify_set(instead: Sequence[str], json_output: bool) -> None:
    """Check the promotion rule for a set of profiles (policies.promotion.profile_set).

    `instead` names versions, as PROFILE@VERSION, to take the place of current ones. Raises FgctlError when a condition
    does not hold, or cannot be checked.
    """
    from policies.promotion.comparison import NotComparable
    from policies.promotion.profile_set import PROFILE_SET, broken, check_set
    from policies.store import PolicyStore
    from rewards.errors import FgctlError

    store = PolicyStore()
    versions = dict(name.partition("@")[::2] for name in instead)
    for profile, version in versions.items():
        if profile not in PROFILE_SET or not version:
            raise FgctlError(
                f"--with {profile}@{version} names no version of {', '.join(PROFILE_SET)}; write long@0123456789ab."
            )
    members = [store.manifest(name, versions.get(name) or store.profile(name).version) for name in PROFILE_SET]
    try:
        checks = check_set(members)
    except NotComparable as error:
        raise FgctlError(f"{error}; {error.remedy}.") from None
    if json_output:
        print_json(
            {
                "profiles": {member.profile: member.version for member in members},
                "holds": all(check.holds for check in checks),
                "checks": [check.model_dump() for check in checks],
            }
        )
    else:
        rows = [
            [
                check.questions, check.condition, f"{check.value:.3f} [{check.low:.3f}, {check.high:.3f}]",
                check.wanted, "yes" if check.holds else "NO",
            ]
            for check in checks
        ]  # fmt: skip
        title = ", ".join(f"{member.profile}@{member.version}" for member in members)
        print_table(title, ["questions", "condition", "value", "wanted", "holds"], rows)
    if refusal := broken(checks):
        raise FgctlError(refusal)
