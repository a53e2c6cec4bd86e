"""`fgctl rewards prefit|evaluate|compare|report`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import busy, print_json, print_table, remarks, steps
from cli.rewards.agreement_tables import print_agreement
from cli.rewards.calibrate import calibrate
from cli.rewards.evaluate_support_labels import evaluate_support_labels
from cli.rewards.fit import fit
from cli.rewards.fit_judge import fit_judge
from cli.rewards.fit_toxicity import evaluate_toxicity, fit_toxicity
from cli.rewards.options import DataOption, FeedbackOption, JsonOption, ModelOption, RecipeOption
from rewards.errors import FgctlError

app = typer.Typer(help="Fit the reward models and measure their agreement with people.", no_args_is_help=True)


@app.command()
def prefit(
    data: Annotated[
        Path | None, typer.Option(help="Questions with reference answers (the schema of train.json).")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="A policy's answers to the questions, as `fgctl sample` writes them.")
    ] = None,
) -> None:
    """Fit the reader and the word head on reference answers, before any feedback; about ten minutes on two cores.

    If interrupted, run the same command again to resume. Fit the heads again afterwards.
    """
    from rewards.dataset import data_file, file_digest, load_answers, load_examples
    from rewards.features.reader import FITTED_READER
    from rewards.fitting.fit_reader import ReaderRecipe, fit_reader

    path = data or data_file("train")
    examples, policy_answers = load_examples(path), load_answers(answers) if answers else {}
    digests = {file.name: file_digest(file) for file in (path, answers) if file}
    with steps("Reading responses") as advance:
        version = fit_reader(examples, ReaderRecipe(), FITTED_READER, digests, advance, policy_answers)
    remarks.print(f"Wrote reader {version} to {FITTED_READER}. Now fit the heads on it: fgctl rewards fit")


@app.command()
def evaluate(
    data: FeedbackOption = None,
    model: ModelOption = None,
    recipe: RecipeOption = None,
    folds: Annotated[
        int | None,
        typer.Option("--cross-validate", min=2, help="Cross-validate new models over this many folds of questions."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Measure agreement with people, with 95 % intervals and trivial baselines.

    The data may also be JSON lines of labelled spans, for example other people's (docs/monitoring.md).

    Models are never evaluated on questions they were fitted on: if the feedback has any, or with a recipe, new models
    are cross-validated over five folds of its questions.
    """
    from cli.rewards.feedback_data import load_feedback_from
    from cli.rewards.labelled_data import names_support_labels
    from rewards.evaluation.evaluate import evaluate as evaluate_heads
    from rewards.models.feedback_rewards import FeedbackRewards
    from rewards.models.recipe import load_recipe

    if names_support_labels(data):
        evaluate_support_labels(data, model, json_output, folds is not None or recipe is not None)
        return
    feedback = load_feedback_from(data)
    examples = feedback.examples
    rewards = FeedbackRewards.load(model)
    settings = load_recipe(recipe) if recipe else None
    with busy(f"Scoring the responses to {len(examples)} questions"):
        report = evaluate_heads(examples, rewards.extractor, rewards.fitted, folds, settings)
    if json_output:
        print_json(report)
    else:
        print_agreement(f"{feedback.name}, {len(examples)} questions, {report['protocol']}", report)


@app.command()
def compare(
    data: DataOption = None,
    recipe: Annotated[
        list[str] | None, typer.Option(help="A recipe; repeat the option for several.", show_default="every recipe")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the logs.", show_default="the card's")] = None,
    json_output: JsonOption = False,
) -> None:
    """Compare recipes: out-of-fold agreement with people, and what attacks are paid.

    The figures of each recipe are logged in a file. The card's table is made from these logs.
    """
    from rewards.dataset import data_file, load_feedback
    from rewards.evaluation.compare_recipes import LOGS, CachingExtractor, evaluate_recipe, write_log
    from rewards.fitting.feedback_table import tabulate_feedback
    from rewards.fitting.folds import MIN_QUESTIONS
    from rewards.models.recipe import load_recipe, recipe_names

    recipes = [load_recipe(name) for name in recipe or recipe_names()]
    path = data or data_file("feedback")
    examples = load_feedback(path)
    if len(examples) < MIN_QUESTIONS:
        raise FgctlError(f"{path} has {len(examples)} rows; a comparison needs at least {MIN_QUESTIONS}.")
    extractor = CachingExtractor()
    with busy(f"Encoding the feedback of {len(examples)} questions"):
        table = tabulate_feedback(examples, extractor)
    figures = []
    for settings in recipes:
        with busy(f"Evaluating and attacking {settings.name}"):
            figures.append(evaluate_recipe(examples, table, settings, extractor))
        write_log(figures[-1], out or LOGS)
    if json_output:
        print_json(figures)
        return
    rows = [
        [
            log["recipe"],
            *(f"{log['agreement'][c]['accuracy']:.3f} / {log['agreement'][c]['macro_f1']:.3f}" for c in _BINARY),
            *(f"{log['agreement'][c]['pairwise_accuracy']:.3f}" for c in _PAIRWISE),
            ", ".join(log["holes"]) or "none",
        ]
        for log in figures
    ]
    columns = ["recipe", *_BINARY, *_PAIRWISE, "attacks that pay"]
    print_table(f"{path.name}, {len(examples)} questions, out of fold", columns, rows)


_BINARY = ("relevance", "factuality", "factuality_paper_rule")
"""Figures over segments."""
_PAIRWISE = ("completeness", "preference")
"""Figures over pairs of responses."""


@app.command()
def report(
    data: DataOption = None,
    answers: Annotated[
        list[Path] | None,
        typer.Option(help="A policy's answers to the questions, as `fgctl sample` writes them; named by its file."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to write the card.")] = Path("docs/rewards.md"),
    json_output: JsonOption = False,
) -> None:
    """Write the reward models' card: agreement, calibration, learning curve, labels, densities, attacks."""
    from rewards.dataset import data_file, load_answers, load_feedback
    from rewards.evaluation.attacks import score_attacks
    from rewards.evaluation.card_figures import card_figures
    from rewards.evaluation.compare_recipes import read_logs
    from rewards.evaluation.model_card import render_card
    from rewards.fitting.feedback_table import tabulate_feedback
    from rewards.fitting.folds import MIN_QUESTIONS
    from rewards.held_out import to_evaluate
    from rewards.scorer import Scorer

    path = data or data_file("feedback")
    examples = load_feedback(path)
    if len(examples) < MIN_QUESTIONS:
        raise FgctlError(f"{path} has {len(examples)} rows; a report needs at least {MIN_QUESTIONS}.")
    policies = {file.stem: load_answers(file) for file in answers or ()}
    scorer = Scorer.load()
    with busy(f"Encoding the feedback of {len(examples)} questions"):
        table = tabulate_feedback(examples, scorer.feedback.extractor)
    with busy("Evaluating out of fold"):
        recipe = scorer.feedback.fitted.recipe
        figures: dict[str, Any] = {"version": scorer.version, "data": path.name}
        figures["study"] = card_figures(examples, table, recipe)
        figures["named"] = list(scorer.feedback.labels.heads) if scorer.feedback.labels else []
    with busy("Attacking"):
        figures["attacks"] = score_attacks(to_evaluate(examples), scorer, policies)
    figures["candidates"] = read_logs()
    if json_output:
        print_json(figures)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render_card(figures), encoding="utf-8")
    remarks.print(f"Wrote {out}.")


app.command()(fit)
app.command()(fit_judge)
app.command()(fit_toxicity)
app.command()(evaluate_toxicity)
app.command()(calibrate)
