"""Runs `fgctl` commands one after another in this process, so that torch, transformers and vLLM are imported once.

A line of standard input has a command's arguments, a line of standard output what came of it, both as JSON.
"""

import json
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from cli.main import main


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
    # What libraries print must not come between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=replies, flush=True)
