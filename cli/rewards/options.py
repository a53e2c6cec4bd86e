"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[Path | None, typer.Option(help="Span feedback (the schema of feedback.json).")]
FeedbackOption = Annotated[
    str | None,
    typer.Option(help="Span feedback: a file (the schema of feedback.json) or a store (sqlite:///…, postgresql://…)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
ModelOption = Annotated[
    Path | None, typer.Option("--rewards", help="Fitted reward models; the shipped ones by default.")
]
RecipeOption = Annotated[str | None, typer.Option(help="A recipe in rewards/recipes, or a TOML file.")]
