"""Commands that run models restart themselves once, with libraries preloaded that make a CPU fast."""

import os
import sys
from collections.abc import Sequence

from service.engine.cpu_environment import PRELOADED, with_preloads

COMPUTING = frozenset({"serve", "sft", "train", "evaluate", "experiment", "arena", "sample"})


def restart_with_libraries(arguments: Sequence[str]) -> None:
    """Restart this program, given its arguments, if its command computes much and it has not been restarted yet."""
    if not COMPUTING.intersection(arguments[:1]) or PRELOADED in os.environ or not sys.platform.startswith("linux"):
        return
    # -P: a folder of the working directory that is called `cli` is not this program.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "cli", *arguments], with_preloads(os.environ))  # noqa: S606
