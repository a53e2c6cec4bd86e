"""`fgctl bench rewards`."""

from typing import Annotated, Any

import typer

from cli.output import busy, print_json, print_table
from cli.rewards import DataOption, JsonOption, ModelOption

app = typer.Typer(help="Measure speed and memory beside named alternatives.", no_args_is_help=True)


@app.command()
def rewards(
    data: DataOption = None,
    responses: Annotated[int, typer.Option(min=1, help="How many responses to score.")] = 32,
    model: ModelOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure what scoring costs, beside a forward pass of the base model and three encoders over the same text.

    All take turns, so that what else the machine does meets them alike. It takes some minutes on two cores.
    """
    from transformers import AutoTokenizer

    from policies.base import resolve_base
    from rewards.dataset import data_file, load_feedback
    from trainer.bench.rewards import ROUNDS, Models, measure, prepare

    examples = load_feedback(data or data_file("feedback"))
    base = resolve_base()
    texts = prepare(examples, responses, AutoTokenizer.from_pretrained(base.path))
    with busy(f"Scoring {len(texts)} responses in {ROUNDS} rounds"):
        report = {"base": base.name} | measure(Models(model, base.path), texts)
    if json_output:
        print_json(report)
    else:
        _print(report)


def _print(report: dict[str, Any]) -> None:
    title = (
        f"Reward models {report['rewards']} and base {report['base']}: {report['responses']} responses with "
        f"{report['base_tokens']:.0f} tokens of text each, {report['rounds']} rounds, {report['threads']} threads"
    )
    contenders = [
        [
            _words(name),
            figures["responses_per_second"]["median"],
            _between(figures["responses_per_second"]),
            round(figures["peak_memory_mib"]),
        ]
        for name, figures in report["contenders"].items()
    ]
    print_table(title, ["contender", "responses a second", "min - max", "peak memory, MiB"], contenders)
    ratios = [
        [f"{_words(one['of'])} / {_words(one['to'])}", one["ratio"], _between(one), f"goal {one['goal']:.2f}"]
        for one in report["ratios"]
    ]
    print_table("Time a response", ["of / to", "ratio", "min - max", "at most"], ratios)


def _words(name: str) -> str:
    return name.replace("scorer_", "scorer, ").replace("_", " ")


def _between(spread: dict[str, float]) -> str:
    return f"{spread['min']:.3f} - {spread['max']:.3f}"
