"""The `fgctl` program: its commands, and what happens when one fails.

An FgctlError, or a place that is full, forbidden or taken, is printed as one sentence and ends with exit code 1.
"""

import errno
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

import typer

from cli import feedback, keys, preferences
from cli.arena.command import arena
from cli.base import base
from cli.bench import commands as bench
from cli.generate import generate
from cli.output import print_styled
from cli.policies import commands as policies
from cli.preload import restart_with_libraries
from cli.quality import quality
from cli.rewards import commands as rewards
from cli.rewards.score import score
from cli.serve import serve
from cli.training import experiment, train
from cli.training.evaluate import evaluate
from cli.training.ray import ray
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
app.command()(ray)
app.command()(evaluate)
app.command()(serve)
app.command()(generate)
app.command()(sample)
app.command()(score)
app.command()(arena)
app.command()(quality)
app.add_typer(rewards.app, name="rewards")
app.add_typer(policies.app, name="policies")
app.add_typer(preferences.app, name="preferences")
app.add_typer(keys.app, name="keys")
app.add_typer(feedback.app, name="feedback")
app.add_typer(experiment.app, name="experiment")
app.add_typer(bench.app, name="bench")


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR})


def main() -> None:
    """Run the program."""
    restart_with_libraries(sys.argv[1:])
    # Models come from packages and directories, so progress bars of libraries would only disturb our output.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # which may not write every character, whatever is printed
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FgctlError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output is gone. Python would fail again when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno in _FULL:
            _fail(f"The disk is full ({error}); free some space, and run the same command again.")
        if error.errno in _FORBIDDEN:
            _fail(f"A file cannot be read or written ({error}); change its permissions, or name another.")
        if error.errno in _IN_THE_WAY:
            _fail(f"Something else is where a file or a directory is expected ({error}); name another place.")
        raise


def _fail(message: str) -> NoReturn:
    print_styled("bold red", "fgctl:", f" {message}")
    sys.exit(1)
