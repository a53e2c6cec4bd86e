"""Checkpoints of a run. A new one is written beside the old one and renamed, so a kill leaves one of the two."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from policies.store.replace_file import replace_file
from rewards.errors import FgctlError
from trainer.processes import Processes

_FILE = "checkpoint.pt"
_SETTINGS = "settings.json"
_LOCK = "run.lock"


@contextmanager
def sole_training(run: Path, processes: Processes) -> Iterator[None]:
    """Hold a run's directory while the block trains in it. Every process of the run enters it.

    Raises FgctlError when another training holds it; two would overwrite each other's checkpoints and logs.
    """
    lock = FileLock(run / _LOCK)
    processes.on_main(partial(_acquire, lock, run, "training", "--run"))
    try:
        yield
    finally:
        lock.release()


@contextmanager
def sole_use(directory: Path, what: str) -> Iterator[None]:
    """Hold an experiment's or arena's directory during the block; `what` is its name in a message.

    Raises FgctlError when another process holds it: two would do everything twice, and mix what they write.
    """
    lock = FileLock(directory / _LOCK)
    _acquire(lock, directory, what, "--out")
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, directory: Path, what: str, option: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FgctlError(
            f"Another {what} is running in {directory}; wait for it, or name another directory with {option}."
        ) from None


def save_checkpoint(run: Path, state: dict[str, Any], name: str = _FILE) -> None:
    """Replace the run's checkpoint of that name by `state`: tensors, numbers, strings, and containers of them.

    Raises OSError, and leaves the old one, when it cannot be written.
    """
    scratch, content = run / f"{name}.new", io.BytesIO()
    torch.save(state, content)
    try:
        with scratch.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    scratch.replace(run / name)


def require_space(run: Path, parameters: int) -> None:
    """Raises FgctlError when the run's disk has no room for the checkpoints of an adapter of so many parameters."""
    needed = 3 * 3 * 4 * parameters  # the last, the best and a new one: float32 weights, and AdamW's two moments
    free = shutil.disk_usage(run).free
    if free < needed:
        raise FgctlError(
            f"The disk of {run} has {free // 2**20} MiB left, and checkpoints take {needed // 2**20 + 1}; free some "
            f"space, or name another directory with --run."
        )


def load_checkpoint(run: Path, name: str = _FILE) -> dict[str, Any] | None:
    """The run's checkpoint of that name, by default the last one, or None when it has none yet.

    Raises FgctlError for one that is damaged.
    """
    path = run / name
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # noqa: BLE001 - torch raises many kinds for a file that is cut short
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise FgctlError(
            f"{path} is damaged ({reason}); restore it, or remove {run} to train from the beginning."
        ) from None
    return state


def claim_run(run: Path, settings: dict[str, Any]) -> None:
    """Create the run's directory, or check that it belongs to a run with the same settings.

    Raises FgctlError, naming the settings that differ, when it does not: a checkpoint must not be continued with other
    settings.
    """
    run.mkdir(parents=True, exist_ok=True)
    path = run / _SETTINGS
    text = json.dumps(settings, indent=1, sort_keys=True)
    if not path.is_file():
        replace_file(path, text)
        return
    try:
        former = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise FgctlError(f"{path} is damaged; restore it, or remove {run} to train from the beginning.") from None
    if former != (current := json.loads(text)):
        raise FgctlError(
            f"{run} holds a run with other settings ({'; '.join(_differences(former, current))}); continue it with "
            f"those, remove it, or name another directory."
        )


def _differences(former: Any, current: Any, name: str = "") -> Iterator[str]:
    """Each setting that differs, by its dotted name, with the run's value and the new one."""
    if isinstance(former, dict) and isinstance(current, dict):
        for key in sorted({*former, *current}):
            inner = f"{name}.{key}" if name else key
            yield from _differences(former.get(key), current.get(key), inner)
    elif former != current:
        yield f"{name.removeprefix('recipe.')} is {_shown(former)}, not {_shown(current)}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


_LONGEST = 60
"""Characters of a setting's value that a message shows."""
