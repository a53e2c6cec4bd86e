"""The option `--policies`, which names the policy store for one command."""

import os
from typing import Annotated

import typer


def _use(store: str | None) -> str | None:
    """Name the store to all that the command does, its other processes included."""
    if store is not None:
        os.environ["FGCTL_POLICIES"] = store
    return store


PoliciesOption = Annotated[
    str | None,
    typer.Option(
        "--policies",
        help="The policy store: a directory, or s3://, gs://, az://, hf://; like FGCTL_POLICIES.",
        show_default="the shipped one",
        callback=_use,
    ),
]
