"""`fgctl bench rewards` and `fgctl bench train`."""

from typing import Annotated, Any

import typer

from cli.output import busy, print_json, print_table, remarks
from cli.rewards import DataOption, JsonOption, ModelOption
from cli.train import BaseOption, RecipeOption, SetOption
from cli.train import DataOption as QuestionsOption

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
        _print_rewards(report)


@app.command()
def train(
    prompts: Annotated[int, typer.Option(min=1, help="Questions a step.")] = 8,
    samples: Annotated[int, typer.Option(min=1, help="Responses to each question.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Steps that each contender takes.")] = 3,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest response.", show_default="of the recipe")
    ] = None,
    recipe: RecipeOption = "cpu",
    overrides: SetOption = None,
    base: BaseOption = None,
    data: QuestionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure what a PPO step costs, beside the plain version of the same step; some minutes a round on two cores.

    The plain version shares nothing between a prompt's samples, runs every pass through all layers and computes the
    logits of every position.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from rewards.dataset import data_file, load_examples, without_held_out
    from trainer.bench.train import bench_recipe, measure, prepare

    settings = bench_recipe(recipe, overrides or [], prompts, samples, max_new_tokens)
    examples = without_held_out(load_examples(data or data_file("train")))
    setting = prepare(resolve_base(base), PolicyStore(), settings, examples)
    with busy(f"Taking {rounds} steps of {setting.episodes} episodes in both ways"):
        report = measure(setting, rounds)
    if json_output:
        print_json(report)
    else:
        _print_train(report)


def _print_train(report: dict[str, Any]) -> None:
    title = (
        f"Base {report['base']}: {report['prompts']} prompts of {report['prompt_tokens']:.0f} tokens x "
        f"{report['samples']} samples of at most {report['max_new_tokens']}, {report['rounds']} rounds, "
        f"{report['threads']} threads"
    )
    contenders = [
        [
            f"{name} ({figures['sampler']})",
            *(phase["episodes_per_minute"]["median"] for phase in figures["phases"].values()),
            round(figures["response_tokens"]),
            round(figures["peak_memory_mib"]),
        ]
        for name, figures in report["contenders"].items()
    ]
    phases = [one["phase"] for one in report["ratios"]]
    print_table(title + "\nEpisodes a minute", ["contender", *phases, "tokens sampled", "peak memory, MiB"], contenders)
    ratios = [
        [one["phase"], one["ratio"], _between(one), f"goal {one['goal']:.1f}" if one["goal"] else ""]
        for one in report["ratios"]
    ]
    print_table("Episodes a minute, trainer / plain", ["phase", "ratio", "min - max", "at least"], ratios)
    remarks.print(f"The gradients' norms differ by at most {report['gradient_difference']:.1%}.")


def _print_rewards(report: dict[str, Any]) -> None:
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
