"""`fgctl bench`: rewards, train, evaluate, lora, serve, layer, scoring, store and faults."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.bench.tables import (
    print_evaluate,
    print_faults,
    print_layer,
    print_lora,
    print_rewards,
    print_scoring,
    print_servers,
    print_store,
    print_train,
)
from cli.output import busy, phases, print_json, remarks
from cli.rewards.commands import DataOption, JsonOption, ModelOption
from cli.training.options import BaseOption, RecipeOption, SetOption
from cli.training.options import DataOption as QuestionsOption

if TYPE_CHECKING:
    from policies.base import BaseModel
    from service.domain.policy import ServedPolicy
    from service.settings import Settings

RoundsOption = Annotated[int, typer.Option(min=1, help="Turns of each contender.")]

app = typer.Typer(help="Compare speed and memory with named alternatives.", no_args_is_help=True)


@app.command()
def rewards(
    data: DataOption = None,
    responses: Annotated[int, typer.Option(min=1, help="How many responses to score.")] = 32,
    model: ModelOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the cost of scoring, compared with a forward pass of the base and three encoders over the same text.

    All take turns, so that other load on the machine affects all alike. Some minutes on two cores.
    """
    from policies.base import load_tokenizer, resolve_base
    from rewards.dataset import data_file, load_feedback
    from trainer.bench.rewards import ROUNDS, Models, measure, prepare

    examples = load_feedback(data or data_file("feedback"))
    base = resolve_base()
    texts = prepare(examples, responses, load_tokenizer(base))
    with busy(f"Scoring {len(texts)} responses in {ROUNDS} rounds"):
        report = {"base": base.name} | measure(Models(model, base.path), texts)
    if json_output:
        print_json(report)
    else:
        print_rewards(report)


@app.command()
def train(
    prompts: Annotated[int, typer.Option(min=1, help="Questions in a step.")] = 8,
    samples: Annotated[int, typer.Option(min=1, help="Responses to each question.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each contender.")] = 3,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest response, in tokens.", show_default="of the recipe")
    ] = None,
    recipe: RecipeOption = "cpu",
    overrides: SetOption = None,
    base: BaseOption = None,
    data: QuestionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the cost of a PPO step, compared with a plain version of it; some minutes a round on two cores.

    The plain version shares no work between a prompt's samples, runs every pass through all layers, and computes the
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
        print_train(report)


@app.command()
def evaluate(
    profile: Annotated[str, typer.Option(help="The profile whose current version is evaluated.")] = "medium",
    questions: Annotated[int, typer.Option(min=1, help="Questions in a round.")] = 24,
    rounds: RoundsOption = 3,
    with_judge: Annotated[bool, typer.Option("--judge/--no-judge", help="Also time the judge.")] = True,
    base: BaseOption = None,
    data: QuestionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the cost of an evaluation, compared with the same answers by the service's engine in one batch.

    Both take turns, with other questions in every round. Some minutes a round on two cores.
    """
    from policies.base import resolve_base
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.dataset import data_file, load_examples
    from rewards.models.judge import Judge
    from rewards.scorer import Scorer
    from service.bench.engine_process import Work
    from service.bench.lora import engine_as_served
    from trainer.bench.evaluate import Setting, measure, rounds_of
    from trainer.evaluation.candidates import candidate

    examples = rounds_of(load_examples(data or data_file("dev")), questions, rounds)
    model, policies, settings = _served(base)
    store = PolicyStore(settings.policies)
    policy = candidate(store, profile, Weights.parse("1,1,1"), resolve_base(settings.base))
    adapter = None if policy.files.adapter is None else str(policy.files.adapter.resolve())
    judge = Judge.load(resolve_base(None).path) if with_judge else None
    with engine_as_served(model, policies, settings) as work:
        report = measure(
            Setting(policy, examples),
            Scorer.load(),
            judge,
            lambda prompts, most: work(Work([list(p) for p in prompts], [adapter] * len(prompts), most, False)),
        )
    if json_output:
        print_json(report)
    else:
        print_evaluate(report)


@app.command()
def lora(
    rounds: RoundsOption = 3,
    base: BaseOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the cost of adapters on a CPU, compared with the base and vLLM's own kernels; 20 minutes on two cores.

    Engines take turns at the same prompts: one without adapters, two with this project's kernels, eager and compiled,
    and one with vLLM's kernels.
    """
    from service.bench.lora import measure

    report = measure(*_served(base), rounds, remarks.print)
    if json_output:
        print_json(report)
    else:
        print_lora(report)


@app.command()
def serve(
    part: Annotated[
        Literal["all", "servers", "layer"],
        typer.Option(help="servers: compare with `vllm serve`; layer: measure what the service adds to its engine."),
    ] = "all",
    rounds: RoundsOption = 3,
    scoring: Annotated[str, typer.Option(help="Shares of answers to score; a server for each.")] = "0,0.1,1",
    base: BaseOption = None,
    data: QuestionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compare the service with `vllm serve` with the same adapters, and measure the latency it adds to its engine.

    All servers take turns at the same requests, and pause while another works. 20 minutes on two cores.
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
        print_servers(report["servers"])
    if "layer" in report:
        print_layer(report["layer"])


@app.command()
def layer(base: BaseOption = None, data: QuestionsOption = None, json_output: JsonOption = False) -> None:
    """Measure the latency that the service adds to an engine of fixed speed, at 1, 32 and 256 streams; two minutes."""
    from rewards.dataset import data_file, load_examples
    from service.bench import serve as bench

    report = bench.measure_layer(*_served(base), load_examples(data or data_file("dev")), remarks.print)
    if json_output:
        print_json(report)
    else:
        print_layer(report)


@app.command()
def scoring(
    seconds: Annotated[float, typer.Option(min=1, help="Duration of each load, in seconds.")] = 60,
    base: BaseOption = None,
    data: QuestionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure online scoring at a half, one and two times the load that it can score; five minutes.

    Every answer must be scored, left out of the sample or dropped, evenly over the profiles, and no reply may wait for
    scoring.
    """
    from rewards.dataset import data_file, load_examples
    from service.bench import serve as bench

    # Many questions, because passages that were scored before are read faster.
    report = bench.measure_scoring(*_served(base), load_examples(data or data_file("train")), seconds, remarks.print)
    if json_output:
        print_json(report)
    else:
        print_scoring(report)


@app.command()
def store(
    rows: Annotated[int, typer.Option(min=1, help="Answers with scores in the large store.")] = 100_000,
    url: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            help="An empty database, which is filled: sqlite:///PATH or postgresql://USER@HOST/DATABASE.",
            show_default="an SQLite file that is removed afterwards",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the feedback store when it is empty and when it is large: writing, the pages' questions, importing.

    Importing in batches is compared with importing item by item. Two minutes, and one more for every 100,000 rows.
    """
    from service.bench.feedback_store.measure import measure

    with phases() as progress:
        report = measure(url, rows, progress)
    if json_output:
        print_json(report)
    else:
        print_store(report)


@app.command()
def faults(
    only: Annotated[list[str] | None, typer.Option(help="Only what has this in its name; repeat for several.")] = None,
    base: BaseOption = None,
    json_output: JsonOption = False,
) -> None:
    """Damage a running service while clients keep asking: kills, hangs, a damaged store; fifteen minutes.

    No request may be lost or hang, /readyz must tell the truth, and the service must come back by itself.
    """
    from rewards.errors import FgctlError
    from service.bench.faults import measure

    model, _, settings = _served(base)
    report = measure(model.name, settings, only or (), remarks.print)
    if json_output:
        print_json(report)
    else:
        print_faults(report)
    bad = [row["fault"] for row in report["faults"] if row["lost"] or row["hung"] or not row["ready_told_the_truth"]]
    bad += [f"{row['signal']} {row['when']}" for row in report["leftovers"] if row["left"]]
    if bad:
        raise FgctlError(f"The service did not survive everything: {', '.join(bad)}.")


def _served(base: str | None) -> "tuple[BaseModel, list[ServedPolicy], Settings]":
    """The model that is served, the policies on it that users can ask for, and the service's settings.

    Raises FgctlError.
    """
    from policies.base import resolve_base
    from policies.manifest import Named
    from policies.store import SFT, PolicyStore
    from policies.trunk import trunk_of
    from rewards.errors import FgctlError
    from service.served.stored_policy import stored_policy
    from service.settings import Settings

    settings = Settings() if base is None else Settings(base=base)
    store = PolicyStore(settings.policies)
    model = trunk_of(resolve_base(settings.base), store)
    named = Named(name=model.name, digest=model.digest)
    served = [
        stored_policy(store, named, name, profile.version, profile.decoding, profile.weights)
        for name, profile in store.profiles().items()
        if profile.served and name != SFT
    ]
    if not served:
        raise FgctlError("There is no policy to serve; train and promote one with `fgctl train --promote`.")
    return model, served, settings


def _shares(text: str) -> list[float]:
    from rewards.errors import FgctlError

    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if not shares or len(set(shares)) < len(shares) or not all(0 <= share <= 1 for share in shares):
        raise FgctlError(f"--scoring is {text!r}; give distinct shares from 0 to 1, such as 0,0.1,1.")
    return shares
