"""`fgctl sample`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.output import busy, remarks
from cli.training.options import BaseOption, TaskOption
from rewards.errors import FgctlError

_MAX_TOKENS = 160


def sample(
    out: Annotated[Path, typer.Option(help="JSON lines of question and response; existing lines are kept.")],
    profile: Annotated[str, typer.Option(help="The profile whose current version answers.")] = "sft",
    task: TaskOption = "qa",
    data: Annotated[Path | None, typer.Option(help="Questions (in the format of train.json), or prompts.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each question.")] = 4,
    temperature: Annotated[float, typer.Option(min=0.01, max=2, help="Sampling temperature.")] = 1.0,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens.", show_default="160, or the task's")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Sampling seed.")] = 0,
    base: BaseOption = None,
) -> None:
    """Sample a policy's answers to questions that are not held out; the same command continues an interrupted run."""
    from policies.base import resolve_base
    from policies.store import Decoding, PolicyStore
    from rewards.dataset import question_key
    from trainer.evaluation.sample_answers import sample_answers
    from trainer.tasks.task import load_task

    answered = load_task(task)
    examples = answered.other_examples(data or answered.data_file())
    done = _answered(out, samples)
    rest = [e for e in examples if question_key(e.question) not in done]
    longest = max_tokens or (answered.decoding.max_tokens if answered.continues else _MAX_TOKENS)
    decoding = Decoding(temperature=temperature, top_p=1.0, max_tokens=longest)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        answering = sample_answers(profile, rest, samples, PolicyStore(), resolve_base(base), decoding, seed, answered)
        count = len(examples) - len(rest)
        with busy(f"Answering {len(rest)} questions"):
            for batch in answering:
                for example, answers in batch:
                    rows = [json.dumps({"question": example.question, "response": a}) + "\n" for a in answers]
                    file.write("".join(rows))
                file.flush()
                count += len(batch)
                remarks.print(f"{count} of {len(examples)} questions answered")


def _answered(path: Path, samples: int) -> set[str]:
    """Keys of the questions to which the file has enough answers; others, cut off by an interruption, are removed."""
    from rewards.dataset import load_answers, question_key

    if not path.exists():
        return set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be continued ({error}); name another file with --out.") from None
    whole = [line for line in lines if line.endswith("\n")]
    if lines and not whole:
        raise FgctlError(f"{path} was not written by this command; name another file with --out.")
    scratch = path.with_name(path.name + ".new")
    scratch.write_text("".join(whole), encoding="utf-8")
    try:
        done = {key for key, answers in load_answers(scratch).items() if len(answers) >= samples}
    except FgctlError:
        scratch.unlink()
        raise FgctlError(f"{path} was not written by this command; name another file with --out.") from None
    complete = [line for line in whole if question_key(json.loads(line)["question"]) in done]
    scratch.write_text("".join(complete), encoding="utf-8")
    scratch.replace(path)
    return done
