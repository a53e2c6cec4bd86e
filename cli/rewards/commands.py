"""`fgctl rewards prefit|evaluate|compare|report` and `fgctl score`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json, print_table, remarks, steps
from cli.rewards.agreement_tables import print_agreement
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.dataset import Passage
    from rewards.scores import ScoreRequest

app = typer.Typer(help="Fit the reward models and measure their agreement with people.", no_args_is_help=True)

DataOption = Annotated[Path | None, typer.Option(help="Span feedback (the schema of feedback.json).")]
FeedbackOption = Annotated[
    str | None,
    typer.Option(help="Span feedback: a file (the schema of feedback.json) or a store (sqlite:///…, postgresql://…)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
ModelOption = Annotated[
    Path | None, typer.Option("--rewards", help="Fitted reward models; the shipped ones by default.")
]
RecipeOption = Annotated[str | None, typer.Option(help="A recipe in rewards/recipes, or a TOML file.")]
_BATCH = 16


@app.command()
def prefit(
    data: Annotated[
        Path | None, typer.Option(help="Questions with reference answers (the schema of train.json).")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="A policy's answers to the questions, as `fgctl sample` writes them.")
    ] = None,
) -> None:
    """Fit the reader and the word head on reference answers, before any feedback; some ten minutes on two cores.

    Interrupted, the same command goes on. The heads have to be fitted anew afterwards.
    """
    from rewards.dataset import data_file, file_digest, load_answers, load_examples
    from rewards.features.reader import FITTED_READER
    from rewards.fitting.fit_reader import ReaderRecipe, fit_reader

    path = data or data_file("train")
    examples, read = load_examples(path), load_answers(answers) if answers else {}
    digests = {file.name: file_digest(file) for file in (path, answers) if file}
    with steps("Reading responses") as advance:
        version = fit_reader(examples, ReaderRecipe(), FITTED_READER, digests, advance, read)
    remarks.print(f"Reader {version} in {FITTED_READER}. Fit the heads on it: fgctl rewards fit")


@app.command()
def evaluate(
    data: FeedbackOption = None,
    model: ModelOption = None,
    recipe: RecipeOption = None,
    folds: Annotated[
        int | None,
        typer.Option("--cross-validate", min=2, help="Cross-validate fresh models over so many folds of questions."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Measure agreement with people, beside trivial baselines, with 95 % intervals.

    Questions the models were fitted on are never judged by models that saw them: where the file holds any, fresh
    models are cross-validated over five folds of its questions; so they are with a recipe.
    """
    from cli.rewards.feedback_data import load_feedback_from
    from rewards.evaluation.evaluate import evaluate as evaluate_heads
    from rewards.models.feedback_rewards import FeedbackRewards
    from rewards.models.recipe import load_recipe

    found = load_feedback_from(data)
    examples = found.examples
    rewards = FeedbackRewards.load(model)
    how = load_recipe(recipe) if recipe else None
    with busy(f"Judging the responses to {len(examples)} questions"):
        report = evaluate_heads(examples, rewards.extractor, rewards.fitted, folds, how)
    if json_output:
        print_json(report)
    else:
        print_agreement(f"{found.name}, {len(examples)} questions, {report['protocol']}", report)


@app.command()
def compare(
    data: DataOption = None,
    recipe: Annotated[
        list[str] | None, typer.Option(help="A recipe; may be given several times.", show_default="every recipe")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the logs.", show_default="the card's")] = None,
    json_output: JsonOption = False,
) -> None:
    """Judge candidate recipes side by side: agreement with people out of fold, and what attacks are paid.

    Each candidate's figures are kept as a log of its own, from which the card's table is made.
    """
    from rewards.dataset import data_file, load_feedback
    from rewards.evaluation.compare_recipes import LOGS, CachingExtractor, evaluate_recipe, write_log
    from rewards.fitting.feedback_table import tabulate_feedback
    from rewards.fitting.folds import FOLDS
    from rewards.models.recipe import load_recipe, recipe_names

    recipes = [load_recipe(name) for name in recipe or recipe_names()]
    path = data or data_file("feedback")
    examples = load_feedback(path)
    if len(examples) < 2 * FOLDS:
        raise FgctlError(f"{path} has {len(examples)} rows; a comparison needs at least {2 * FOLDS}.")
    extractor = CachingExtractor()
    with busy(f"Encoding the feedback of {len(examples)} questions"):
        table = tabulate_feedback(examples, extractor)
    figures = []
    for one in recipes:
        with busy(f"Judging and attacking {one.name}"):
            figures.append(evaluate_recipe(examples, table, one, extractor))
        write_log(figures[-1], out or LOGS)
    if json_output:
        print_json(figures)
        return
    rows = [
        [
            one["recipe"],
            *(f"{one['agreement'][c]['accuracy']:.3f} / {one['agreement'][c]['macro_f1']:.3f}" for c in _JUDGED),
            *(f"{one['agreement'][c]['pairwise_accuracy']:.3f}" for c in ("completeness", "preference")),
            ", ".join(one["holes"]) or "none",
        ]
        for one in figures
    ]
    columns = ["recipe", *_JUDGED, "completeness", "preference", "attacks that pay"]
    print_table(f"{path.name}, {len(examples)} questions, out of fold", columns, rows)


_JUDGED = ("relevance", "factuality", "factuality_paper_rule")


@app.command()
def report(
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="Where to write the card.")] = Path("docs/rewards.md"),
    json_output: JsonOption = False,
) -> None:
    """Write the reward models' card: agreement, calibration, learning curve, label types, densities, attacks."""
    from rewards.dataset import data_file, load_feedback
    from rewards.evaluation.attacks import score_attacks
    from rewards.evaluation.card_figures import card_figures
    from rewards.evaluation.compare_recipes import read_logs
    from rewards.evaluation.model_card import render_card
    from rewards.fitting.feedback_table import tabulate_feedback
    from rewards.fitting.folds import FOLDS
    from rewards.held_out import only_held_out
    from rewards.scorer import Scorer

    path = data or data_file("feedback")
    examples = load_feedback(path)
    if len(examples) < 2 * FOLDS:
        raise FgctlError(f"{path} has {len(examples)} rows; a report needs at least {2 * FOLDS}.")
    scorer = Scorer.load()
    with busy(f"Encoding the feedback of {len(examples)} questions"):
        table = tabulate_feedback(examples, scorer.feedback.extractor)
    with busy("Judging out of fold"):
        recipe = scorer.feedback.fitted.recipe
        figures: dict[str, Any] = {"version": scorer.version, "data": path.name}
        figures["study"] = card_figures(examples, table, recipe)
        figures["named"] = list(scorer.feedback.labels.heads) if scorer.feedback.labels else []
    with busy("Attacking"):
        figures["attacks"] = score_attacks(only_held_out(examples) or examples, scorer)
    figures["candidates"] = read_logs()
    if json_output:
        print_json(figures)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render_card(figures), encoding="utf-8")
    remarks.print(f"Wrote {out}.")


def score(model: ModelOption = None) -> None:
    """Score responses: JSON lines of question, passages and response in, the same with `scores` out."""
    from rewards.scorer import Scorer

    scorer = Scorer.load(model)
    for rows, requests in _batches(sys.stdin):
        for row, scored in zip(rows, scorer.score(requests), strict=True):
            print(json.dumps(row | scored.as_json(), ensure_ascii=False), flush=True)


def _batches(lines: IO[str]) -> Iterator[tuple[list[dict[str, Any]], list["ScoreRequest"]]]:
    """Requests in small batches; a bad line is an error only after the lines before it were answered."""
    rows: list[dict[str, Any]] = []
    requests: list[ScoreRequest] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            request = _request(row)
        except ValueError as error:
            if rows:
                yield rows, requests
            raise FgctlError(f"Line {number}: {error}; mend it and send the lines from there on again.") from None
        rows.append(row)
        requests.append(request)
        if len(rows) == _BATCH:
            yield rows, requests
            rows, requests = [], []
    if rows:
        yield rows, requests


def _request(row: Any) -> "ScoreRequest":
    from rewards.dataset import parse_passages
    from rewards.scores import ScoreRequest

    if not isinstance(row, dict):
        raise ValueError("not a JSON object with question, passages and response")
    for name in ("question", "response"):
        if not isinstance(row.get(name), str):
            raise ValueError(f"{name!r} is missing or not text")
    passages: tuple[Passage, ...] = parse_passages(row.get("passages"))
    return ScoreRequest(row["question"], passages, row["response"])
