"""`fgctl rewards fit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json
from cli.rewards.agreement_tables import print_agreement, print_change, print_labels
from cli.rewards.commands import FeedbackOption, JsonOption, RecipeOption
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from rewards.fitting.feedback_table import FeedbackTable
    from rewards.models.recipe import FitRecipe


def fit(
    data: FeedbackOption = None,
    recipe: RecipeOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the reward models, and the labels beside them.")
    ] = None,
    only_labels: Annotated[
        bool, typer.Option("--only-labels", help="Fit the labels of the reward models that are there already.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Fit the reward models on feedback, leaving the held-out questions alone, and say how well they agree.

    Where the feedback has questions that the reward models of before were not fitted on, say what those changed, on
    questions that were held out each time. The labels of errors are fitted with them, into a file of their own: with
    `--only-labels` they alone, so that policies trained on the reward models keep the version they name.
    """
    import numpy as np

    from cli.rewards.feedback_data import load_feedback_from
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

    how, target = load_recipe(recipe or BEST), out or FITTED_REWARDS
    if only_labels and recipe:
        raise FgctlError("A recipe says how reward models are fitted; leave out --recipe or --only-labels.")
    fitted = load_rewards(target)[0] if only_labels else None
    found = load_feedback_from(data)
    examples = without_held_out(found.examples)
    keys = [question_key(e.question) for e in examples]
    if len(set(keys)) < 10:
        raise FgctlError(f"{found.name} leaves {len(set(keys))} questions to fit on; at least 10 are needed.")
    digests = {found.name: found.digest}
    change: dict[str, Any] = {}
    with busy(f"Encoding the feedback of {len(set(keys))} questions"):
        table = tabulate_feedback(examples, Extractor())
    if fitted is None:
        with busy("Fitting"):
            heads = fit_heads(table, np.arange(len(examples)), how)
            agreement = cross_validate(table, how)
            change = _change(table, how, target)
        fitted = assemble_rewards(
            heads,
            fit_input_ranges([ScoreRequest(e.question, e.passages, text) for e in examples for text in e.predictions]),
            recipe=how,
            data=digests,
            annotations=len(examples),
            questions=keys,
            agreement=agreement,
        )
        save_rewards(target, fitted)
    with busy("Fitting labels"):
        kept, named = fit_label_heads(examples, table)
    labels = assemble_labels(kept, fitted.version, data=digests, agreement=named)
    save_labels(labels_path(target), labels)
    agreement = {} if only_labels else fitted.agreement
    report = {"version": fitted.version, "path": str(target), "questions": len(set(keys))} | agreement
    report |= {"annotations": len(examples), "data": digests} | ({"change": change} if change else {})
    report["labels"] = {"version": labels.version, "path": str(labels_path(target)), "agreement": named}
    if json_output:
        print_json(report)
        return
    if agreement:
        print_agreement(f"Reward models {fitted.version} in {target}, {len(set(keys))} questions", agreement)
        print_change(change)
    print_labels(f"Labels {labels.version} in {labels_path(target)}, errors that people named", named)


def _change(table: "FeedbackTable", recipe: "FitRecipe", target: Path) -> dict[str, Any]:
    """What feedback on new questions changed from the reward models at `target`, or the shipped ones where none are.

    Empty where there is none, or nothing that can be read to compare with.
    """
    from rewards.evaluation.effect_of_feedback import effect_of_feedback
    from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards

    try:
        before = load_rewards(target if target.exists() else FITTED_REWARDS)[0]
    except FgctlError:
        return {}
    known = frozenset(before.questions)
    return effect_of_feedback(table, recipe, before.heads, known) if set(table.keys) - known else {}
