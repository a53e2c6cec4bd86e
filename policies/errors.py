"""What is raised for a policy or a store that cannot be used as it is."""

from pydantic import ValidationError

from rewards.errors import FgctlError


class BrokenPolicy(FgctlError):
    """A version, or profiles.toml, that cannot be used as it is."""


class OtherBase(BrokenPolicy):
    """A version that was trained on another base than the one at hand."""


def hub_failures(*further: type[Exception]) -> tuple[type[Exception], ...]:
    """What the client of the Hugging Face hub raises where the hub is away or refuses, and further errors.

    A file that the hub does not have is none of these. The client brings its own library for HTTP, whose errors are
    those that its own refusals are made of.
    """
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    hub = transport, HFValidationError, LocalEntryNotFoundError, LocalTokenNotFoundError, OfflineModeIsEnabled
    return hub + further


def first_error(error: ValidationError) -> str:
    """The place and message of the first validation error."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
