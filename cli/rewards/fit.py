"""`fgctl rewards fit`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json, remarks
from cli.rewards.agreement_tables import print_agreement, print_change, print_labels
from cli.rewards.options import FeedbackOption, JsonOption, RecipeOption
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.dataset import FeedbackExample
    from rewards.fitting.feedback_table import FeedbackTable
    from rewards.models.feedback_rewards import FittedRewards
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
    changed, on questions held out each time. Heads for which it has no examples, such as comparisons, are kept from
    these. The heads that label errors are fitted too, into a file of their own.
    With `--only-labels` only these are fitted, so that the version of the reward models, which policies record, stays.
    """
    from cli.rewards.feedback_data import load_feedback_from, require_enough_questions
    from rewards.dataset import question_key
    from rewards.features.extractor import Extractor
    from rewards.fitting.feedback_table import tabulate_feedback
    from rewards.fitting.fit_label_heads import fit_label_heads
    from rewards.heads.annotation_label import assemble_labels, labels_path, save_labels
    from rewards.held_out import without_held_out
    from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards, save_rewards
    from rewards.models.recipe import BEST, load_recipe

    settings, target = load_recipe(recipe or BEST), out or FITTED_REWARDS
    if only_labels and recipe:
        raise FgctlError("A recipe has no effect on label heads; leave out --recipe or --only-labels.")
    fitted = load_rewards(target)[0] if only_labels else None
    feedback = load_feedback_from(data)
    examples = without_held_out(feedback.examples)
    questions = len({question_key(e.question) for e in examples})
    require_enough_questions(questions, feedback.name)
    digests = {feedback.name: feedback.digest}
    changes: dict[str, Any] = {}
    with busy(f"Encoding the feedback of {questions} questions"):
        table = tabulate_feedback(examples, Extractor())
    if fitted is None:
        with busy("Fitting"):
            fitted, changes = _fit(examples, table, settings, _before(target), digests)
        save_rewards(target, fitted)
    with busy("Fitting label heads"):
        heads_worth_keeping, label_agreement = fit_label_heads(examples, table)
    labels = assemble_labels(heads_worth_keeping, fitted.version, data=digests, agreement=label_agreement)
    save_labels(labels_path(target), labels)
    agreement = {} if only_labels else fitted.agreement
    report = {"version": fitted.version, "path": str(target), "questions": questions} | agreement
    report |= {"annotations": len(examples), "data": digests} | changes
    report["labels"] = {"version": labels.version, "path": str(labels_path(target)), "agreement": label_agreement}
    if json_output:
        print_json(report)
        return
    if agreement:
        print_agreement(f"Reward models {fitted.version} in {target}, {questions} questions", agreement)
        print_change(changes.get("change", {}))
    if kept := changes.get("not_fitted"):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in kept["heads"].items())
        remarks.print(f"Not fitted, but kept from reward models {kept['from']}: {reasons}.")
    print_labels(f"Labels {labels.version} in {labels_path(target)}, on errors that people labelled", label_agreement)


def _fit(
    examples: "Sequence[FeedbackExample]",
    table: "FeedbackTable",
    recipe: "FitRecipe",
    before: "FittedRewards | None",
    data: dict[str, str],
) -> "tuple[FittedRewards, dict[str, Any]]":
    """The fitted reward models, and what differs from those before: `change`, and the heads that are `not_fitted`.

    Questions that a kept head has seen count as seen.
    """
    import numpy as np

    from rewards.dataset import question_key
    from rewards.evaluation.evaluate import cross_validate
    from rewards.fitting.fit_heads import fit_heads, heads_without_examples
    from rewards.models.feedback_rewards import assemble_rewards
    from rewards.models.input_ranges import fit_input_ranges
    from rewards.scores import ScoreRequest

    rows, heads_before = np.arange(len(examples)), before.heads if before else None
    heads = fit_heads(table, rows, recipe, heads_before)
    agreement = cross_validate(table, recipe, before=heads_before)
    changes: dict[str, Any] = {}
    if change := _change(table, recipe, before):
        changes["change"] = change
    kept = heads_without_examples(table, rows)
    if before and kept:
        changes["not_fitted"] = {"from": before.version, "heads": kept}
    fitted = assemble_rewards(
        heads,
        fit_input_ranges([ScoreRequest(e.question, e.passages, text) for e in examples for text in e.predictions]),
        recipe=recipe,
        data=(before.data if before and kept else {}) | data,
        annotations=len(examples),
        questions=[*(question_key(e.question) for e in examples), *(before.questions if before and kept else ())],
        agreement=agreement,
    )
    return fitted, changes


def _before(target: Path) -> "FittedRewards | None":
    """The reward models at `target` or else the shipped ones; None if they cannot be loaded."""
    from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards

    try:
        return load_rewards(target if target.exists() else FITTED_REWARDS)[0]
    except FgctlError:
        return None


def _change(table: "FeedbackTable", recipe: "FitRecipe", before: "FittedRewards | None") -> dict[str, Any]:
    """The effect of feedback on new questions, compared with the reward models before.

    Empty if there are no new questions, or no reward models from before.
    """
    from rewards.evaluation.effect_of_feedback import effect_of_feedback

    if before is None:
        return {}
    old = frozenset(before.questions)
    return effect_of_feedback(table, recipe, before.heads, old) if set(table.keys) - old else {}
