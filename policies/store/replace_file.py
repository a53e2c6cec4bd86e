"""Replacing a file in one step."""

import os
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """Replace a file's content; a kill at any moment leaves the old content or the new."""
    scratch = file.with_suffix(".new")
    with scratch.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    scratch.replace(file)
