"""`fgctl ray`: `fgctl sft` and `fgctl train` on the workers of a Ray cluster."""

import importlib.util
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.training.train import sft, train
from rewards.errors import FgctlError

COMMANDS: dict[str, Callable[..., None]] = {"sft": sft, "train": train}


def ray(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND…", help="`sft` or `train` with its options.", show_default=False)
    ],
    workers: Annotated[int, typer.Option(min=1, help="Processes that share every step.")] = 2,
    gpu: Annotated[bool, typer.Option("--gpu/--cpu", help="Whether each worker has a GPU.")] = True,
    cpus: Annotated[float, typer.Option(min=0.1, help="CPUs that each worker reserves.")] = 1.0,
    retries: Annotated[
        int, typer.Option(min=0, help="How often all workers start again, from the last checkpoint, when one is lost.")
    ] = 3,
) -> None:
    """Train on a Ray cluster: with `ray job submit`, or on this machine. All workers run the same command.

    Workers on several machines must see the run's directory and the policy store at the same path.
    """
    if command[0] not in COMMANDS:
        raise FgctlError(f"`fgctl {command[0]}` does not train; name `train` or `sft` after `--`.")
    if importlib.util.find_spec("ray") is None:
        raise FgctlError('Ray is not installed; install it with `pip install "ray[train]"`.')
    from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
    from ray.train.torch import TorchTrainer

    each = {"CPU": cpus} | ({"GPU": 1.0} if gpu else {})
    trainer = TorchTrainer(
        _work,
        train_loop_config={"command": command, "directory": str(Path.cwd())},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=each),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=retries)),
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        raise FgctlError(_reason(error.worker_failures.values())) from None


def _work(settings: dict[str, Any]) -> None:
    """What a worker does: run the command, in the group of processes that Ray has made.

    It runs where `fgctl ray` was started, if that directory is there, so that relative paths mean the same.
    """
    with suppress(OSError):
        os.chdir(settings["directory"])
    program = typer.Typer()
    for name, function in COMMANDS.items():
        program.command(name)(function)
    try:
        program(settings["command"], prog_name="fgctl", standalone_mode=False)
    except FgctlError as error:
        # Ray sends it to a program that may not have this package.
        raise RuntimeError(f"{_SENTENCE}{error}") from None


_SENTENCE = "fgctl: "


def _reason(failures: Iterable[object]) -> str:
    """Why workers failed: in the words of the first that says it in a sentence, else in its last line."""
    lines = [line for failure in failures for line in str(failure).splitlines() if line.strip()]
    sentences = [line.partition(_SENTENCE)[2] for line in lines if _SENTENCE in line]
    return sentences[0] if sentences else f"A worker on Ray failed: {lines[-1].strip() if lines else 'no message'}."
