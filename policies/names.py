"""Names of profiles and versions."""

import re
from collections.abc import Iterable

from rewards.errors import FgctlError

SFT = "sft"
"""The profile of the supervised parent, which is stored like a policy and never served."""
DEFAULT_PROFILE = "medium"
"""The profile that answers when none is named."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def is_name(name: str) -> bool:
    """Whether this can name a profile or a version, and so a directory."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raises FgctlError unless this can name a profile or a version."""
    if not is_name(name):
        raise FgctlError(f"{name[:64]!r} is not a name; use up to 64 lower-case letters, digits, '-' and '_'.")


def no_such_profile(name: str, profiles: Iterable[str]) -> str:
    """The sentence for an unknown profile, with those there are."""
    return f"There is no profile {name[:64]!r}; choose one of {', '.join(profiles) or 'none yet'}."
