"""`fgctl rewards fit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json
from cli.rewards.agreement_tables import print_agreement, print_change, print_labels
from cli.rewards.options import FeedbackOption, JsonOption, RecipeOption
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.fitting.feedback_table import FeedbackTable
    from rewards.models.recipe import FitRecipe


def fit(
    data: FeedbackOption = None,
    recipe: RecipeOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the reward models, with the label heads beside them.")
    ] = None,
    only_labels: Annotated[
        bool, typer.Option("--only-labels", help="Only fit the label heads of existing reward models.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Fit the reward models on feedback, without the held-out questions, and report their agreement with people.

    If the feedback has questions that the previous reward models were not fitted on, the report also says what these
    changed, on questions held out each time. The heads that label errors are fitted too, into a file of their own.
    With `--only-labels` only these are fitted, so that the version of the reward models, which policies record, stays.
    """
    import numpy as np

    from cli.rewards.feedback_data import load_feedback_from, require_enough_questions
    from rewards.dataset import question_key
    from rewards.evaluation.evaluate import cross_validate
    from rewards.features.extractor import Extractor
    from rewards.fitting.feedback_table import tabulate_feedback
    from rewards.fitting.fit_heads import fit_heads
    from rewards.fitting.fit_label_heads import fit_label_heads
    from rewards.heads.annotation_label import assemble_labels, labels_path, save_labels
    from rewards.held_out import without_held_out
    from rewards.models.feedback_rewards import FITTED_REWARDS, assemble_rewards, load_rewards, save_rewards
    from rewards.models.input_ranges import fit_input_ranges
    from rewards.models.recipe import BEST, load_recipe
    from rewards.scores import ScoreRequest

    settings, target = load_recipe(recipe or BEST), out or FITTED_REWARDS
    if only_labels and recipe:
        raise FgctlError("A recipe has no effect on label heads; leave out --recipe or --only-labels.")
    fitted = load_rewards(target)[0] if only_labels else None
    feedback = load_feedback_from(data)
    examples = without_held_out(feedback.examples)
    keys = [question_key(e.question) for e in examples]
    require_enough_questions(len(set(keys)), feedback.name)
    digests = {feedback.name: feedback.digest}
    change: dict[str, Any] = {}
    with busy(f"Encoding the feedback of {len(set(keys))} questions"):
        table = tabulate_feedback(examples, Extractor())
    if fitted is None:
        with busy("Fitting"):
            heads = fit_heads(table, np.arange(len(examples)), settings)
            agreement = cross_validate(table, settings)
            change = _change(table, settings, target)
        fitted = assemble_rewards(
            heads,
            fit_input_ranges([ScoreRequest(e.question, e.passages, text) for e in examples for text in e.predictions]),
            recipe=settings,
            data=digests,
            annotations=len(examples),
            questions=keys,
            agreement=agreement,
        )
        save_rewards(target, fitted)
    with busy("Fitting label heads"):
        heads_worth_keeping, label_agreement = fit_label_heads(examples, table)
    labels = assemble_labels(heads_worth_keeping, fitted.version, data=digests, agreement=label_agreement)
    save_labels(labels_path(target), labels)
    agreement = {} if only_labels else fitted.agreement
    report = {"version": fitted.version, "path": str(target), "questions": len(set(keys))} | agreement
    report |= {"annotations": len(examples), "data": digests} | ({"change": change} if change else {})
    report["labels"] = {"version": labels.version, "path": str(labels_path(target)), "agreement": label_agreement}
    if json_output:
        print_json(report)
        return
    if agreement:
        print_agreement(f"Reward models {fitted.version} in {target}, {len(set(keys))} questions", agreement)
        print_change(change)
    print_labels(f"Labels {labels.version} in {labels_path(target)}, on errors that people labelled", label_agreement)


def _change(table: "FeedbackTable", recipe: "FitRecipe", target: Path) -> dict[str, Any]:
    """The effect of feedback on new questions, compared with the reward models at `target` or else the shipped ones.

    Empty if there are no new questions, or if the previous reward models cannot be loaded.
    """
    from rewards.evaluation.effect_of_feedback import effect_of_feedback
    from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards

    try:
        before = load_rewards(target if target.exists() else FITTED_REWARDS)[0]
    except FgctlError:
        return {}
    old = frozenset(before.questions)
    return effect_of_feedback(table, recipe, before.heads, old) if set(table.keys) - old else {}
