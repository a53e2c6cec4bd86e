"""`fgctl bench`: rewards, train, lora, serve and scoring."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.output import busy, print_json, print_table, remarks
from cli.rewards.commands import DataOption, JsonOption, ModelOption
from cli.training.train import BaseOption, RecipeOption, SetOption
from cli.training.train import DataOption as QuestionsOption

if TYPE_CHECKING:
    from policies.base import BaseModel
    from service.domain.policy import ServedPolicy
    from service.settings import Settings

RoundsOption = Annotated[int, typer.Option(min=1, help="Turns that each contender takes.")]

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
    from rewards.dataset import data_file, load_examples
    from rewards.held_out import without_held_out
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


@app.command()
def lora(
    rounds: RoundsOption = 3,
    base: BaseOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure what adapters cost on a CPU, beside the base alone and vLLM's own kernels; twenty minutes on two cores.

    Engines take turns at the same prompts: one that cannot load adapters, two with this project's kernels, as they are
    and compiled, and one with vLLM's.
    """
    from service.bench.lora import measure

    report = measure(*_served(base), rounds, remarks.print)
    if json_output:
        print_json(report)
    else:
        _print_lora(report)


@app.command()
def serve(
    part: Annotated[
        Literal["all", "servers", "layer"],
        typer.Option(help="servers: beside `vllm serve`; layer: what is added to an engine of fixed speed."),
    ] = "all",
    rounds: RoundsOption = 3,
    scoring: Annotated[str, typer.Option(help="Shares of answers that are scored, one server each.")] = "0,0.1,1",
    base: BaseOption = None,
    data: QuestionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the service beside `vllm serve` with the same adapters, and the latency it adds to its engine.

    All servers take turns at the same requests, and stand still while another works; twenty minutes on two cores.
    """
    from rewards.dataset import data_file, load_examples
    from service.bench import serve as bench

    shares = _shares(scoring)
    served = _served(base)
    examples = load_examples(data or data_file("dev"))
    report: dict[str, Any] = {}
    if part != "servers":
        report["layer"] = bench.measure_layer(*served, examples, remarks.print)
    if part != "layer":
        report["servers"] = bench.measure(*served, examples, rounds, shares, remarks.print)
    if json_output:
        print_json(report)
        return
    if "servers" in report:
        _print_servers(report["servers"])
    if "layer" in report:
        _print_layer(report["layer"])


@app.command()
def scoring(
    seconds: Annotated[float, typer.Option(min=1, help="How long requests come at each load.")] = 60,
    base: BaseOption = None,
    data: QuestionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure what online scoring does at half, one and two times the load that it can score; five minutes.

    Every answer must be scored, left out of the sample or dropped, evenly over the profiles, and replies must not wait
    for it.
    """
    from rewards.dataset import data_file, load_examples
    from service.bench import serve as bench

    # Many, since passages that were scored before are read faster.
    report = bench.measure_scoring(*_served(base), load_examples(data or data_file("train")), seconds, remarks.print)
    if json_output:
        print_json(report)
    else:
        _print_scoring(report)


def _served(base: str | None) -> "tuple[BaseModel, list[ServedPolicy], Settings]":
    """The base, the policies that can be asked for by name, and the service's settings. Raises FgctlError."""
    from policies.base import resolve_base
    from policies.manifest import Named
    from policies.store import SFT, PolicyStore
    from rewards.errors import FgctlError
    from service.served.stored_policy import stored_policy
    from service.settings import Settings

    settings = Settings() if base is None else Settings(base=base)
    found = resolve_base(settings.base)
    store, named = PolicyStore(settings.policies), Named(name=found.name, digest=found.digest)
    served = [
        stored_policy(store, named, name, profile.version, profile.decoding, profile.weights)
        for name, profile in store.profiles().items()
        if profile.served and name != SFT
    ]
    if not served:
        raise FgctlError("There is no policy to serve. Train and promote one by `fgctl train`.")
    return found, served, settings


def _shares(text: str) -> list[float]:
    from rewards.errors import FgctlError

    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if not shares or len(set(shares)) < len(shares) or not all(0 <= share <= 1 for share in shares):
        raise FgctlError(f"--scoring is {text!r}; give different shares from 0 to 1, such as 0,0.1,1.")
    return shares


def _print_lora(report: dict[str, Any]) -> None:
    title = (
        f"Base {report['base']}, adapters {', '.join(report['adapters'])}, {report['rounds']} rounds\nTokens a second"
    )
    rows = [
        [
            one["engine"], one["mix"], one["load"], one["batch"],
            one["tokens_per_second"]["median"], _between(one["tokens_per_second"]),
        ]
        for one in report["throughput"]
    ]  # fmt: skip
    print_table(title, ["engine", "adapters", "load", "batch", "tokens a second", "min - max"], rows)
    ratios = [
        [
            one["load"], one["batch"], f"{one['of']}, {one['mix']}", f"{one['to']}, base", one["ratio"], _between(one),
            f"goal {one['goal']:.2f}" if one["goal"] else "",
        ]
        for one in report["ratios"]
    ]  # fmt: skip
    print_table("Tokens a second", ["load", "batch", "of", "to", "ratio", "min - max", "at least"], ratios)
    memory = ", ".join(f"{name} {peak:.0f} MiB" for name, peak in report["peak_memory_mib"].items())
    remarks.print(f"Peak memory: {memory}.")


def _print_servers(report: dict[str, Any]) -> None:
    title = (
        f"Base {report['base']}, profiles {', '.join(report['profiles'])}: prompts of {report['prompt_tokens']:.0f} "
        f"tokens, {report['tokens']} tokens written to each, {report['rounds']} rounds"
    )
    levels = [(name, level) for name, one in report["contenders"].items() for level in one["levels"]]
    throughput = [
        [
            name, level["concurrency"], level["requests_per_second"]["median"],
            level["tokens_per_second"]["median"], _between(level["tokens_per_second"]),
            level["scored"], level["dropped"], level["scoring_lag_seconds"],
        ]
        for name, level in levels
    ]  # fmt: skip
    columns = ["server", "at once", "requests a second", "tokens a second", "min - max", "scored", "dropped", "lag, s"]
    print_table(title, columns, throughput)
    latency = [
        [name, level["concurrency"], *(_percentiles(level[key]) for key in _LATENCIES)] for name, level in levels
    ]
    print_table("Milliseconds: p50 / p95 / p99", ["server", "at once", *_LATENCIES.values()], latency)
    ratios = [
        [one["of"], one["concurrency"], one["ratio"], _between(one), f"goal {one['goal']:.2f}" if one["goal"] else ""]
        for one in report["ratios"]
    ]
    print_table(
        "Tokens a second, service / vllm serve", ["service", "at once", "ratio", "min - max", "at least"], ratios
    )
    memory = ", ".join(f"{name} {one['peak_memory_mib']:.0f} MiB" for name, one in report["contenders"].items())
    remarks.print(f"Peak memory: {memory}.")


_LATENCIES = {
    "time_to_first_token_ms": "first token",
    "inter_token_latency_ms": "between tokens",
    "latency_ms": "whole answer",
}


def _print_layer(report: dict[str, Any]) -> None:
    rows = [
        [
            one["streams"], one["requests"], _percentiles(one["added_to_first_token_ms"]),
            _percentiles(one["added_to_total_ms"]), f"goal {one['goal_p50_ms']:.0f}" if one["goal_p50_ms"] else "",
        ]
        for one in report["streams"]
    ]  # fmt: skip
    columns = ["streams", "requests", "to the first token", "to the whole answer", "p50 at most"]
    print_table("Milliseconds that the service adds to its engine: p50 / p95 / p99", columns, rows)


def _print_scoring(report: dict[str, Any]) -> None:
    rows = [
        [
            f"{one['load']:g}", profile, *(f"{found[what]:.0f}" for what in _ACCOUNT),
            f"{found['dropped'] / max(1, found['offered'] - found['sampled_out']):.2f}",
        ]
        for one in report["loads"]
        for profile, found in one["profiles"].items()
    ]  # fmt: skip
    title = f"{report['capacity_per_second']:.1f} answers a second can be scored; {report['seconds']:g} seconds a load"
    print_table(title, ["load", "profile", *(what.replace("_", " ") for what in _ACCOUNT), "share dropped"], rows)
    replies = [
        [
            f"{one['load']:g}", one["requests_per_second"], _percentiles(one["first_token_ms"]),
            _percentiles(one["reply_ms"]), one["waiting_at_the_end"], one["busy_seconds"],
        ]
        for one in report["loads"]
    ]  # fmt: skip
    columns = ["load", "requests a second", "first token", "whole answer", "waiting at the end", "busy, s"]
    print_table("Replies, milliseconds: p50 / p95 / p99", columns, replies)
    remarks.print(
        f"Whole answers at the highest load take {report['reply_ratio']:.3f} times as long as at the lowest, first "
        f"tokens {report['first_token_ratio']:.3f} times (goal: whole answers at most {report['goal']:.2f})."
    )


_ACCOUNT = ("offered", "scored", "sampled_out", "dropped")


def _percentiles(values: dict[str, float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values.values())


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
