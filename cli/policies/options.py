"""Options and arguments that several `fgctl policies` commands take."""

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
ProfileArgument = Annotated[str, typer.Argument(help="A profile, or sft for the supervised parent.")]
