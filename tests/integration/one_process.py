"""Runs `fgctl` commands one after another in this process, which imports vLLM and starts an engine for rollouts once.

A line of standard input has a command's arguments, a line of standard output what came of it, both as JSON.
"""

import json
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from cli.main import main
from trainer.rollouts import vllm
from trainer.rollouts.vllm import VllmSampler

LONGEST = 2048
"""Tokens of the longest prompt and response of any command."""


class LastingSampler(VllmSampler):
    """A sampler whose engine is the next command's as well. Every command gives it weights of its own."""

    _started = None

    def __init__(self, base, max_tokens, temperature, engine_arguments=()):
        if LastingSampler._started is None:
            super().__init__(base, max(max_tokens, LONGEST), temperature, engine_arguments)
            LastingSampler._started = self._llm
        self._llm, self._temperature = LastingSampler._started, temperature

    def close(self):
        pass


def run(arguments):
    """A command's exit code, and what it wrote on standard output and standard error."""
    sys.argv = ["fgctl", *arguments]
    code, out, err = 0, StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        except Exception:  # noqa: BLE001  # as Python would end
            code = 1
            traceback.print_exc()
    return [code or 0, out.getvalue(), err.getvalue()]


if __name__ == "__main__":
    vllm.VllmSampler = LastingSampler
    # What libraries print must not come between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=replies, flush=True)
