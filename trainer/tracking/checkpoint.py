"""Checkpoints of a run. A new one is written beside the old one and renamed, so a kill leaves one of the two."""

import json
import os
from pathlib import Path
from typing import Any

import torch

from policies.store.replace_file import replace_file
from rewards.errors import FgctlError

_FILE = "checkpoint.pt"
_SETTINGS = "settings.json"


def save_checkpoint(run: Path, state: dict[str, Any], name: str = _FILE) -> None:
    """Replace the run's checkpoint of that name by `state`: tensors, numbers, strings, and containers of them."""
    scratch = run / f"{name}.new"
    with scratch.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(run / name)


def load_checkpoint(run: Path, name: str = _FILE) -> dict[str, Any] | None:
    """The run's checkpoint of that name, by default the last one, or None when it has none yet."""
    path = run / name
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state


def claim_run(run: Path, settings: dict[str, Any]) -> None:
    """Create the run's directory, or check that it belongs to a run with the same settings.

    Raises FgctlError when the settings differ: a checkpoint must not be continued with other settings.
    """
    run.mkdir(parents=True, exist_ok=True)
    path = run / _SETTINGS
    text = json.dumps(settings, indent=1, sort_keys=True)
    if not path.is_file():
        replace_file(path, text)
    elif json.loads(path.read_text(encoding="utf-8")) != json.loads(text):
        raise FgctlError(
            f"{run} holds a run with other settings; continue it with those, remove it, or name another with --run."
        )
