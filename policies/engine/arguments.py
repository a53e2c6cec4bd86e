"""The arguments that a user gives to an engine, read by vLLM's own parser: a new flag works once vLLM has it."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, NoReturn

from rewards.errors import FgctlError

_NOT_NAMED = object()


def parse_arguments(arguments: Sequence[str], owned: Mapping[str, str]) -> dict[str, Any]:
    """The engine arguments that a command line names, such as `--tensor-parallel-size 4`, by vLLM's names for them.

    `owned` are those that nobody may give, with the reason and what to do instead. Raises FgctlError.
    """
    named = _parsed(tuple(arguments)) if arguments else {}
    for name in named:
        if name in owned:
            raise FgctlError(f"The engine argument --{name.replace('_', '-')} cannot be given: {owned[name]}.")
    return dict(named)


def flags(arguments: Mapping[str, Any]) -> list[str]:
    """Arguments as a command line. Lists have an item for each word; None is left out."""
    words: list[str] = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, list):
            words += [f"--{flag}", *map(str, value)]
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return words


@cache
def _parsed(arguments: tuple[str, ...]) -> dict[str, Any]:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):
        """vLLM's parser, whose errors are ours."""

        def error(self, message: str) -> NoReturn:
            reason = " ".join(message.split()).rstrip(".")
            raise FgctlError(
                f"vLLM does not take these engine arguments: {reason}; `fgctl serve -- --help` lists what it takes."
            )

    parser = AsyncEngineArgs.add_cli_args(Parser(prog="fgctl serve [OPTIONS] --"))
    # argparse leaves alone what a namespace already has, which shows what the command line does not name.
    unnamed = Namespace(**{field.name: _NOT_NAMED for field in fields(AsyncEngineArgs)})
    try:
        parsed = parser.parse_args(list(arguments), namespace=unnamed)
    except (ValueError, OSError) as error:  # a file that the arguments name
        raise FgctlError(f"The engine arguments cannot be read ({error}); fix them.") from None
    return {name: value for name, value in vars(parsed).items() if value is not _NOT_NAMED}
