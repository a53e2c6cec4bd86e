"""What is raised for a policy or a store that cannot be used as it is."""

from pydantic import ValidationError

from rewards.errors import FgctlError


class BrokenPolicy(FgctlError):
    """A version, or profiles.toml, that cannot be used as it is."""


class OtherBase(BrokenPolicy):
    """A version that was trained on another base than the one at hand."""


def first_error(error: ValidationError) -> str:
    """The place and message of the first validation error."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
