"""`fgctl sample`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.output import busy, remarks
from rewards.errors import FgctlError


def sample(
    out: Annotated[Path, typer.Option(help="JSON lines of question and response; what is there already stays.")],
    profile: Annotated[str, typer.Option(help="Whose current version answers.")] = "sft",
    data: Annotated[Path | None, typer.Option(help="Questions (the schema of train.json).")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each question.")] = 4,
    temperature: Annotated[float, typer.Option(min=0.01, max=2, help="Of sampling.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 160,
    seed: Annotated[int, typer.Option(min=0, help="Of sampling.")] = 0,
    base: Annotated[str | None, typer.Option(help="Base model.", show_default="embedded")] = None,
) -> None:
    """Sample a policy's answers to questions, held-out ones left alone. Interrupted, the same command goes on."""
    from policies.base import resolve_base
    from policies.store import Decoding, PolicyStore
    from rewards.dataset import data_file, load_examples, question_key
    from rewards.held_out import without_held_out
    from trainer.evaluation.sample_answers import sample_answers

    examples = without_held_out(load_examples(data or data_file("train")))
    done = _answered(out, samples)
    rest = [e for e in examples if question_key(e.question) not in done]
    decoding = Decoding(temperature=temperature, top_p=1.0, max_tokens=max_tokens)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        answering = sample_answers(profile, rest, samples, PolicyStore(), resolve_base(base), decoding, seed)
        count = len(examples) - len(rest)
        with busy(f"Answering {len(rest)} questions"):
            for some in answering:
                for example, answers in some:
                    rows = [json.dumps({"question": example.question, "response": a}) + "\n" for a in answers]
                    file.write("".join(rows))
                file.flush()
                count += len(some)
                remarks.print(f"{count} of {len(examples)} questions answered")


def _answered(path: Path, samples: int) -> set[str]:
    """Keys of the questions that a file of answers has enough answers to; what an interruption cut off is removed."""
    from rewards.dataset import load_answers, question_key

    if not path.exists():
        return set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be gone on with ({error}); name another file by --out.") from None
    whole = [line for line in lines if line.endswith("\n")]
    if lines and not whole:
        raise FgctlError(f"{path} holds something else than this command writes; name another file by --out.")
    scratch = path.with_name(path.name + ".new")
    scratch.write_text("".join(whole), encoding="utf-8")
    try:
        done = {key for key, answers in load_answers(scratch).items() if len(answers) >= samples}
    except FgctlError:
        scratch.unlink()
        raise FgctlError(f"{path} holds something else than this command writes; name another file by --out.") from None
    kept = [line for line in whole if question_key(json.loads(line)["question"]) in done]
    scratch.write_text("".join(kept), encoding="utf-8")
    scratch.replace(path)
    return done
