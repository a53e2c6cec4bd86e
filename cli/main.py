"""The `fgctl` program: its commands, and what happens when one fails.

An FgctlError is printed as one sentence and ends with exit code 1.
"""

import os
import sys

import typer
from rich.console import Console

from cli import feedback, keys
from cli.base import base
from cli.bench import commands as bench
from cli.generate import generate
from cli.policies import commands as policies
from cli.quality import quality
from cli.rewards import commands as rewards
from cli.rewards.score import score
from cli.serve import serve
from cli.training import experiment, train
from cli.training.evaluate import evaluate
from cli.training.sample import sample
from rewards.errors import FgctlError

app = typer.Typer(
    name="fgctl",
    help="Train and serve language-model policies with reward weights that the user chooses.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(base)
app.command()(train.sft)
app.command()(train.train)
app.command()(evaluate)
app.command()(serve)
app.command()(generate)
app.command()(sample)
app.command()(score)
app.command()(quality)
app.add_typer(rewards.app, name="rewards")
app.add_typer(policies.app, name="policies")
app.add_typer(keys.app, name="keys")
app.add_typer(feedback.app, name="feedback")
app.add_typer(experiment.app, name="experiment")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the program."""
    # Models come from packages and directories, so progress bars of libraries would only disturb our output.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        app()
    except FgctlError as error:
        Console(stderr=True).print(f"[bold red]fgctl:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output is gone. Python would fail again when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
