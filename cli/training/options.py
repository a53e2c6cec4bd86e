"""Options that several training commands take."""

from pathlib import Path
from typing import Annotated

import typer

PAPER_WEIGHTS = "0.3,0.5,0.3"
"""The weights of the paper's main experiment."""

BaseOption = Annotated[
    str | None, typer.Option(help="Base model: a Hugging Face directory or name.", show_default="embedded")
]
DataOption = Annotated[Path | None, typer.Option(help="Training questions (in the format of train.json).")]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="Training questions in the format of train.json, or of feedback.json, whose corrected responses are the "
        "answers. Can be repeated: the rows of all files are used.",
        show_default="train.json",
    ),
]
RecipeOption = Annotated[str, typer.Option(help="Name of a recipe, or a TOML file of settings.")]
RewardsOption = Annotated[Path | None, typer.Option(help="Fitted reward models.", show_default="the shipped ones")]
TaskOption = Annotated[str, typer.Option(help="The task: qa or detox.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting of the recipe, such as ppo.learning_rate=1e-4.")
]
